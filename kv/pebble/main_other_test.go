//go:build !unix

package pebble_test

func children() map[string]func([]string) int { return nil }
