package kv_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
)

// open returns an empty store for an example.
func open() *kv.Store {
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	return store
}

func ExampleStore_Update() {
	ctx, store := context.Background(), open()
	defer store.Close()

	// Runs again if another transaction changed the counter meanwhile.
	increment := func(tx *kv.Txn) error {
		n := 0
		v, err := tx.Get(ctx, []byte("counter"))
		switch {
		case err == nil:
			n, err = strconv.Atoi(string(v))
			if err != nil {
				return err
			}
		case !errors.Is(err, kv.ErrNotFound):
			return err
		}
		return tx.Set([]byte("counter"), strconv.AppendInt(nil, int64(n+1), 10))
	}
	for range 3 {
		if err := store.Update(ctx, increment); err != nil {
			log.Fatal(err)
		}
	}
	err := store.View(ctx, func(tx *kv.Txn) error {
		v, err := tx.Get(ctx, []byte("counter"))
		fmt.Println(string(v))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 3
}

func ExampleStore_View() {
	ctx, store := context.Background(), open()
	defer store.Close()

	// Everything that the function reads is of one moment.
	err := store.View(ctx, func(tx *kv.Txn) error {
		values, err := tx.BatchGet(ctx, [][]byte{[]byte("a"), []byte("b")})
		if err != nil {
			return err
		}
		fmt.Println(len(values), values[0] == nil)
		return tx.Set([]byte("a"), []byte("1"))
	})
	fmt.Println(err)
	// Output:
	// 2 true
	// kv: transaction is read-only
}

func ExampleStore_Begin() {
	ctx, store := context.Background(), open()
	defer store.Close()

	// By hand, without retries: first committer wins.
	first, err := store.Begin(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer first.Rollback() // does nothing after Commit
	second, err := store.Begin(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Rollback()
	for _, tx := range []*kv.Txn{first, second} {
		if err := tx.Set([]byte("owner"), []byte("me")); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(first.Commit(ctx))
	fmt.Println(errors.Is(second.Commit(ctx), kv.ErrConflict))
	// Output:
	// <nil>
	// true
}

func ExampleTxn_Scan() {
	ctx, store := context.Background(), open()
	defer store.Close()

	err := store.Update(ctx, func(tx *kv.Txn) error {
		for _, name := range []string{"fruit/apple", "fruit/banana", "fruit/cherry", "nut/hazel"} {
			if err := tx.Set([]byte(name), []byte("x")); err != nil {
				return err
			}
		}
		// A scan sees the transaction's own writes.
		fruit := kv.Range{Start: []byte("fruit/"), End: []byte("fruit0")} // '0' follows '/'
		for pair, err := range tx.Scan(ctx, fruit, &kv.ScanOptions{Reverse: true, Limit: 2}) {
			if err != nil {
				return err
			}
			fmt.Println(string(pair.Key))
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// fruit/cherry
	// fruit/banana
}

// Two doctors are on call, and each may leave if the other stays. Both read
// both keys and each writes only its own, so nothing conflicts (write skew):
// locking what the decision depends on makes it conflict.
func ExampleTxn_Lock() {
	ctx, store := context.Background(), open()
	defer store.Close()
	alice, bob := []byte("oncall/alice"), []byte("oncall/bob")
	err := store.Update(ctx, func(tx *kv.Txn) error {
		return errors.Join(tx.Set(alice, []byte("yes")), tx.Set(bob, []byte("yes")))
	})
	if err != nil {
		log.Fatal(err)
	}

	leave := func(me, other []byte) *kv.Txn {
		tx, err := store.Begin(ctx, nil)
		if err != nil {
			log.Fatal(err)
		}
		if stays, err := tx.Has(ctx, other); err != nil || !stays {
			log.Fatal("nobody would stay ", err)
		}
		if err := errors.Join(tx.Lock(ctx, other), tx.Delete(me)); err != nil {
			log.Fatal(err)
		}
		return tx
	}
	first, second := leave(alice, bob), leave(bob, alice)
	fmt.Println(first.Commit(ctx))
	fmt.Println(errors.Is(second.Commit(ctx), kv.ErrConflict))
	// Output:
	// <nil>
	// true
}

func ExampleTxn_Savepoint() {
	ctx, store := context.Background(), open()
	defer store.Close()

	err := store.Update(ctx, func(tx *kv.Txn) error {
		if err := tx.Set([]byte("order"), []byte("1")); err != nil {
			return err
		}
		sp, err := tx.Savepoint()
		if err != nil {
			return err
		}
		if err := tx.Set([]byte("order/gift"), []byte("sold out")); err != nil {
			return err
		}
		return tx.RollbackTo(sp) // the order stays, without the gift
	})
	if err != nil {
		log.Fatal(err)
	}
	err = store.View(ctx, func(tx *kv.Txn) error {
		for pair, err := range tx.Scan(ctx, kv.Range{}, nil) {
			if err != nil {
				return err
			}
			fmt.Println(string(pair.Key))
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: order
}

func ExampleTxn_OnCommit() {
	ctx, store := context.Background(), open()
	defer store.Close()

	attempts := 0
	err := store.Update(ctx, func(tx *kv.Txn) error {
		attempts++
		// An effect outside of the transaction must not happen at every attempt.
		tx.OnCommit(func() { fmt.Println("mail sent") })
		if attempts == 1 {
			return kv.ErrConflict // as if another transaction had been faster
		}
		return tx.Set([]byte("order"), []byte("1"))
	})
	fmt.Println(attempts, err)
	// Output:
	// mail sent
	// 2 <nil>
}
