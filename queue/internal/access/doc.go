// Package access is how the parts of a queue get at the store: a store together with
// the ways in which a queue repeats calls and waits, and the errors of its rows. It
// knows nothing of topics, groups or processes.
package access
