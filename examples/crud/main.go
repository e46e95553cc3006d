// Command crud shows the life of one record: create, find, update, delete.
//
//	go run ./examples/crud
//
// Read main.go from top to bottom.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

// User is the model: a plain struct. Its ID may be left empty on creation.
type User struct {
	ID    string
	Name  string
	Email string
}

const userTable tito.Name[User, string] = "users"

// The handles through which users are found and written. They are immutable
// and hold no connection.
var (
	userByEmail = tito.Index("by_email",
		tito.String(func(u *User) string { return u.Email }),
		&tito.IndexOptions[User]{Unique: true})

	users = tito.Define(tito.Schema[User, string]{
		Table:   userTable,
		ID:      tito.StringID(func(u *User) *string { return &u.ID }),
		Indexes: tito.Indexes(userByEmail),
	})
)

func main() {
	// The store. Any other driver takes memory's place in this line alone.
	store, err := memory.Open(nil)
	if err == nil {
		err = errors.Join(run(context.Background(), store, os.Stdout), store.Close())
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, store *kv.Store, out io.Writer) error {
	// The database: the store with the tables that the program uses.
	db, err := tito.Open(ctx, store, nil, users)
	if err != nil {
		return err
	}

	// Create a user. Every write belongs to a transaction.
	var john *User
	err = db.Update(ctx, func(tx *tito.Tx) error {
		john, err = users.Create(ctx, tx, &User{Name: "John Doe", Email: "john@example.com"}, nil)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "created %s, with an id of %d characters\n", john.Name, len(john.ID))

	// Find him by id. A read takes a transaction, or db for a snapshot of its own.
	found, err := users.Get(ctx, db, john.ID)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "found by id: %s <%s>\n", found.Name, found.Email)

	// Find him by index.
	found, err = users.Where(userByEmail.Eq("john@example.com")).One(ctx, db)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "found by email: %s\n", found.Name)

	// The index is unique: another user cannot have the address.
	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := users.Create(ctx, tx, &User{Name: "Jane Doe", Email: "john@example.com"}, nil)
		return err
	})
	if !errors.Is(err, tito.ErrDuplicate) {
		return errors.Join(errors.New("two users got the same address"), err)
	}
	fmt.Fprintf(out, "refused: %v\n", err)

	// Update replaces the record.
	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := users.Update(ctx, tx, &User{ID: john.ID, Name: "John Updated", Email: "john_updated@example.com"}, nil)
		return err
	})
	if err != nil {
		return err
	}

	// Query and update in one transaction: it reads what it writes, and commits
	// only if nobody else has changed the user meanwhile.
	err = db.Update(ctx, func(tx *tito.Tx) error {
		u, err := users.Where(userByEmail.Eq("john_updated@example.com")).One(ctx, tx)
		if err != nil {
			return err
		}
		u.Name = "John Smith"
		_, err = users.Update(ctx, tx, u, nil)
		return err
	})
	if err != nil {
		return err
	}

	// Patch is the short form where the id is known.
	err = db.Update(ctx, func(tx *tito.Tx) error {
		john, err = users.Patch(ctx, tx, john.ID, func(u *User) error {
			u.Name += " Jr."
			return nil
		}, nil)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "updated: %s <%s>\n", john.Name, john.Email)

	// The index has followed: the old address finds nobody.
	n, err := users.Where(userByEmail.Eq("john@example.com")).Count(ctx, db)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "users with the old address: %d\n", n)

	// Delete.
	err = db.Update(ctx, func(tx *tito.Tx) error {
		return users.Delete(ctx, tx, john.ID, nil)
	})
	if err != nil {
		return err
	}
	if _, err = users.Get(ctx, db, john.ID); !errors.Is(err, tito.ErrNotFound) {
		return errors.Join(errors.New("a deleted user was found"), err)
	}
	fmt.Fprintln(out, "deleted")
	return nil
}
