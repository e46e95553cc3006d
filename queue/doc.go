// Package queue keeps events in the store of the data that they are about.
package queue
