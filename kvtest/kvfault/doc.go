// Package kvfault counts the calls that a program makes of its store, and makes them
// go wrong: for tests of any program on package kv, on any driver.
//
// [Counting] shows what a program costs in round trips, and holds it to a budget.
// [Faulty] fails, delays and holds calls, and loses acknowledgements; its Sweep runs
// a program once for each of its calls, with that call going wrong. Each has a Wrap
// for kv.Options.Wrap; to use both, call one Wrap inside the other.
//
// The package imports nothing but package kv and the standard library, and of that
// not package testing: a program can link it.
package kvfault
