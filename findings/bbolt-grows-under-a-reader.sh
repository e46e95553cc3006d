#!/usr/bin/env bash
# bbolt 1.5.0: while a read transaction is open, pages that commits free after it began
# are used again only if they had come out of the list of free pages. A page by which
# the file grew stays pending until the reader ends. So many small commits beside one
# reader grow the file by several pages each, and the list of pending pages, which each
# commit writes, with it. One would guess that a page which no reader can see is free.
#
# Seen, for 1,000 commits of one 100-byte value into a database of about 100 KiB:
# the file grows by 43 MiB beside a reader, and not at all beside the
# same reader if 2,000 pages had been freed before it began.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

var bucket = []byte("b")

func main() {
	poor, rich := grown("poor", 0), grown("rich", 2000)
	fmt.Printf("grown beside a reader by %d KiB, after pages were freed by %d KiB\n", poor>>10, rich>>10)
	if poor < 20<<20 || rich > 1<<20 {
		fmt.Println("the behaviour has changed")
		os.Exit(1)
	}
}

// grown returns by how much 1,000 commits beside a reader make a file grow that had so
// many pages freed before.
func grown(name string, pages int) int64 {
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true, InitialMmapSize: 1 << 30})
	check(err)
	defer db.Close()
	put := func(n int, value []byte) {
		check(db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucket)
			check(err)
			return b.Put(fmt.Appendf(nil, "key%04d", n), value)
		}))
	}
	for n := range 500 {
		put(n, make([]byte, 100))
	}
	if pages > 0 {
		put(500, make([]byte, pages*os.Getpagesize()))
		for range 3 { // the pages are free once no transaction of before is open
			put(500, make([]byte, 1))
		}
	}
	check(db.Sync())
	before := size(name)
	reader, err := db.Begin(false)
	check(err)
	defer reader.Rollback()
	for n := range 1000 {
		put(n%500, fmt.Appendf(make([]byte, 0, 100), "%0100d", n))
	}
	return size(name) - before
}

func size(name string) int64 {
	info, err := os.Stat(name)
	check(err)
	return info.Size()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
{
	go mod init finding
	go get go.etcd.io/bbolt@v1.5.0
	go mod tidy
} >log 2>&1 || { cat log; exit 1; }
go run .
