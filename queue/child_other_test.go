//go:build !unix

package queue_test

func beChild() (int, bool) { return 0, false }
