package pebble_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/pebble"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()

	store, err := pebble.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = store.Update(ctx, func(tx *kv.Txn) error {
		return tx.Set([]byte("greeting"), []byte("hello"))
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}

	store, err = pebble.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	err = store.View(ctx, func(tx *kv.Txn) error {
		greeting, err := tx.Get(ctx, []byte("greeting"))
		fmt.Printf("%s\n", greeting)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: hello
}

func ExampleCheckpoint() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := pebble.Open(filepath.Join(dir, "store"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	backup := filepath.Join(dir, "backup")
	if err := pebble.Checkpoint(store, backup); err != nil {
		log.Fatal(err)
	}
	restored, err := pebble.Open(backup, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(restored.Info().Name, restored.Close())
	// Output: pebble <nil>
}
