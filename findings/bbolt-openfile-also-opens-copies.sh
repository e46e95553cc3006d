#!/usr/bin/env bash
# bbolt 1.5.0: the function in Options.OpenFile, which one takes for the way to open
# the database, also opens the files that Tx.CopyFile writes and that Tx.WriteTo reads
# when WriteFlag is set. A function that returns an opened database file whatever it is
# asked for (to lock the file first, say) hands the live file to both, which then
# write to it or close it. This script only looks at which names the function is asked
# for; its function opens what it is asked for.
#
# Seen: "open db", "copy: open copy", "write: open db".
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"
)

func main() {
	step := ""
	open := func(name string, flag int, mode os.FileMode) (*os.File, error) {
		fmt.Println(step + "open " + filepath.Base(name))
		return os.OpenFile(name, flag, mode)
	}
	db, err := bbolt.Open("db", 0o600, &bbolt.Options{OpenFile: open})
	check(err)
	defer db.Close()
	check(db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("b"))
		return err
	}))
	check(db.View(func(tx *bbolt.Tx) error {
		step = "copy: "
		return tx.CopyFile("copy", 0o600)
	}))
	check(db.View(func(tx *bbolt.Tx) error {
		step = "write: "
		tx.WriteFlag = syscall.O_SYNC
		_, err := tx.WriteTo(io.Discard)
		return err
	}))
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
got=$(go run .)
echo "$got"
want=$'open db\ncopy: open copy\nwrite: open db'
if [[ $(sort -u <<<"$got") != "$(sort -u <<<"$want")" ]]; then
	echo "the behaviour has changed; it was:"
	echo "$want"
	exit 1
fi
