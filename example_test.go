package tito_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

type User struct {
	ID    string
	Email string
	Role  string
}

var (
	byEmail = tito.Index("by_email", tito.String(func(u *User) string { return u.Email }),
		&tito.IndexOptions[User]{Unique: true})
	byRole = tito.Index("by_role", tito.String(func(u *User) string { return u.Role }), nil)

	Users = tito.Define(tito.Schema[User, string]{
		Table:   "users",
		ID:      tito.StringID(func(u *User) *string { return &u.ID }),
		Indexes: tito.Indexes(byEmail, byRole),
	})
)

func Example() {
	ctx := context.Background()
	store, err := memory.Open(nil) // or pebble.Open(dir, nil): the rest stays as it is
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	db, err := tito.Open(ctx, store, nil, Users)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *tito.Tx) error { // row and index entries commit together
		_, err := Users.Create(ctx, tx, &User{Email: "ada@example.com", Role: "admin"}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	for u, err := range Users.Where(byRole.Eq("admin")).All(ctx, db) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(u.Email)
	}
	// Output: ada@example.com
}
