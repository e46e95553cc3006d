package tito_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

// Account is the model of the examples of writes.
type Account struct {
	ID      string
	Email   string
	Balance int64

	Meta tito.Meta `json:"-"` // filled by Tito
}

var (
	accountByEmail = tito.Index("by_email", tito.String(func(a *Account) string { return a.Email }),
		&tito.IndexOptions[Account]{Unique: true})

	accounts = tito.Define(tito.Schema[Account, string]{
		Table:   "accounts",
		ID:      tito.StringID(func(a *Account) *string { return &a.ID }),
		Indexes: tito.Indexes(accountByEmail),
		Meta:    func(a *Account) *tito.Meta { return &a.Meta },
	})
)

// openAccounts opens a database in memory.
func openAccounts(ctx context.Context) *tito.DB {
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	db, err := tito.Open(ctx, store, nil, accounts)
	if err != nil {
		log.Fatal(err)
	}
	return db
}

func Example() {
	ctx := context.Background()
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	db, err := tito.Open(ctx, store, nil, accounts)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := accounts.Create(ctx, tx, &Account{ID: "ada", Email: "ada@example.com", Balance: 10}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	a, err := accounts.Where(accountByEmail.Eq("ada@example.com")).One(ctx, db)
	fmt.Println(a.ID, a.Balance, err)
	// Output: ada 10 <nil>
}

func ExampleDefine() {
	type City struct {
		ID   int64
		Name string
		Land string
		Size int64
	}
	bySize := tito.Index2("by_size",
		tito.String(func(c *City) string { return c.Land }),
		tito.Int(func(c *City) int64 { return c.Size }).Desc(), nil)
	cities := tito.Define(tito.Schema[City, int64]{
		Table:   "cities",
		ID:      tito.IntID(func(c *City) *int64 { return &c.ID }),
		Indexes: tito.Indexes(bySize),
		Validate: func(c *City) error {
			if c.Name == "" {
				return errors.New("a city has a name")
			}
			return nil
		},
	})

	ctx := context.Background()
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	db, err := tito.Open(ctx, store, nil, cities)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := cities.CreateMany(ctx, tx, []*City{{1, "Porto", "pt", 232}, {2, "Lisbon", "pt", 545}, {3, "Vigo", "es", 293}}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	for c, err := range cities.Where(bySize.At("pt")).All(ctx, db) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(c.Name)
	}
	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := cities.Create(ctx, tx, &City{ID: 4}, nil)
		return err
	})
	fmt.Println(err)
	// Output:
	// Lisbon
	// Porto
	// table "cities", row 4: tito: invalid record: a city has a name
}

// A definition that contradicts the store is refused, with what to do about it.
func ExampleOpen() {
	ctx := context.Background()
	db := openAccounts(ctx)

	without := tito.Define(tito.Schema[Account, string]{
		Table: "accounts",
		ID:    tito.StringID(func(a *Account) *string { return &a.ID }),
	})
	_, err := tito.Open(ctx, db.Store(), nil, without)
	fmt.Println(errors.Is(err, tito.ErrSchema))
	fmt.Println(err)
	// Output:
	// true
	// tito: open: tito: schema error: table "accounts": the store has index "by_email", the program lacks it and would not maintain it; declare it
}

// The argument stays as it is; the stored copy is returned, with its revision.
func ExampleTable_Create() {
	ctx := context.Background()
	db := openAccounts(ctx)
	rec := &Account{ID: "ada", Email: "ada@example.com"}
	var saved *Account
	err := db.Update(ctx, func(tx *tito.Tx) (err error) {
		saved, err = accounts.Create(ctx, tx, rec, nil)
		return err
	})
	fmt.Println(err, rec.Meta.Revision == 0, saved.Meta.Revision > 0)

	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := accounts.Create(ctx, tx, rec, nil)
		return err
	})
	fmt.Println(errors.Is(err, tito.ErrExists))
	// Output:
	// <nil> true true
	// true
}

// A record without an id gets one; ids sort as they were made.
func ExampleTable_Create_generatedID() {
	ctx := context.Background()
	db := openAccounts(ctx)
	err := db.Update(ctx, func(tx *tito.Tx) error {
		first, err := accounts.Create(ctx, tx, &Account{Email: "1"}, nil)
		if err != nil {
			return err
		}
		second, err := accounts.Create(ctx, tx, &Account{Email: "2"}, nil)
		if err != nil {
			return err
		}
		fmt.Println(len(first.ID), first.ID < second.ID)
		return nil
	})
	fmt.Println(err)
	// Output:
	// 36 true
	// <nil>
}

// The error of a unique index tells whose value it is.
func ExampleTable_Create_unique() {
	ctx := context.Background()
	db := openAccounts(ctx)
	err := db.Update(ctx, func(tx *tito.Tx) error {
		if _, err := accounts.Create(ctx, tx, &Account{ID: "ada", Email: "ada@example.com"}, nil); err != nil {
			return err
		}
		_, err := accounts.Create(ctx, tx, &Account{ID: "eve", Email: "ada@example.com"}, nil)
		return err
	})
	var dup *tito.DuplicateError
	fmt.Println(errors.Is(err, tito.ErrDuplicate), errors.As(err, &dup), dup.Index, dup.Owner)
	_, err = accounts.Get(ctx, db, "ada")
	fmt.Println(err) // the error rolled back the whole transaction
	// Output:
	// true true by_email ada
	// table "accounts", row ada: tito: row not found
}

// The rules hold for the state after the whole call.
func ExampleTable_UpdateMany() {
	ctx := context.Background()
	db := openAccounts(ctx)
	err := db.Update(ctx, func(tx *tito.Tx) error {
		saved, err := accounts.CreateMany(ctx, tx, []*Account{{ID: "ada", Email: "a"}, {ID: "bob", Email: "b"}}, nil)
		if err != nil {
			return err
		}
		saved[0].Email, saved[1].Email = saved[1].Email, saved[0].Email
		_, err = accounts.UpdateMany(ctx, tx, saved, nil)
		return err
	})
	fmt.Println(err)
	many, err := accounts.GetMany(ctx, db, []string{"ada", "nobody", "bob"})
	fmt.Println(many[0].Email, many[1], many[2].Email, err)
	// Output:
	// <nil>
	// b <nil> a <nil>
}

// An update can demand that nobody has written the row since it was read.
func ExampleTable_Update_expectedRevision() {
	ctx := context.Background()
	db := openAccounts(ctx)
	put := func(a *Account, o *tito.WriteOptions) error {
		return db.Update(ctx, func(tx *tito.Tx) error {
			_, err := accounts.Put(ctx, tx, a, o)
			return err
		})
	}
	if err := put(&Account{ID: "ada", Balance: 10}, nil); err != nil {
		log.Fatal(err)
	}
	read, err := accounts.Get(ctx, db, "ada")
	if err != nil {
		log.Fatal(err)
	}
	if err := put(&Account{ID: "ada", Balance: 20}, nil); err != nil { // somebody else
		log.Fatal(err)
	}
	read.Balance++
	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := accounts.Update(ctx, tx, read, &tito.WriteOptions{Expect: read.Meta.Revision})
		return err
	})
	fmt.Println(errors.Is(err, tito.ErrStale))
	// Output: true
}

func ExampleTable_Patch() {
	ctx := context.Background()
	db := openAccounts(ctx)
	var a *Account
	err := db.Update(ctx, func(tx *tito.Tx) (err error) {
		if _, err = accounts.Create(ctx, tx, &Account{ID: "ada", Email: "ada@example.com"}, nil); err != nil {
			return err
		}
		a, err = accounts.Patch(ctx, tx, "ada", func(a *Account) error {
			a.Balance += 5
			return nil
		}, nil)
		return err
	})
	fmt.Println(a.Email, a.Balance, err)
	// Output: ada@example.com 5 <nil>
}

func ExampleTable_Delete() {
	ctx := context.Background()
	db := openAccounts(ctx)
	err := db.Update(ctx, func(tx *tito.Tx) error {
		if _, err := accounts.Create(ctx, tx, &Account{ID: "ada"}, nil); err != nil {
			return err
		}
		return accounts.Delete(ctx, tx, "ada", nil)
	})
	fmt.Println(err)
	fmt.Println(accounts.Exists(ctx, db, "ada"))
	// Output:
	// <nil>
	// false <nil>
}

// Reads through a transaction see one snapshot, and its own writes.
func ExampleTable_Get() {
	ctx := context.Background()
	db := openAccounts(ctx)
	err := db.Update(ctx, func(tx *tito.Tx) error {
		if _, err := accounts.Put(ctx, tx, &Account{ID: "ada", Balance: 3}, nil); err != nil {
			return err
		}
		inside, err := accounts.Get(ctx, tx, "ada")
		if err != nil {
			return err
		}
		_, outside := accounts.Get(ctx, db, "ada")
		fmt.Println(inside.Balance, outside)
		return nil
	})
	fmt.Println(err)
	// Output:
	// 3 table "accounts", row ada: tito: row not found
	// <nil>
}

// Two accounts together must not fall below zero. The one that is only read is
// locked, so that nobody can take from it at the same time.
func ExampleTable_Lock() {
	ctx := context.Background()
	db := openAccounts(ctx)
	err := db.Update(ctx, func(tx *tito.Tx) error {
		_, err := accounts.CreateMany(ctx, tx, []*Account{{ID: "a", Email: "a@x", Balance: 10}, {ID: "b", Email: "b@x"}}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *tito.Tx) error {
		reserve, err := accounts.Get(ctx, tx, "a")
		if err != nil {
			return err
		}
		if err := accounts.Lock(ctx, tx, "a"); err != nil {
			return err
		}
		b, err := accounts.Patch(ctx, tx, "b", func(b *Account) error {
			if b.Balance-7+reserve.Balance < 0 {
				return errors.New("not enough")
			}
			b.Balance -= 7
			return nil
		}, nil)
		if err == nil {
			fmt.Println(b.Balance)
		}
		return err
	})
	fmt.Println(err)
	// Output:
	// -7
	// <nil>
}
