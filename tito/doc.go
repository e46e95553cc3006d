// Package tito keeps models in an ordered, transactional key-value store: rows,
// their secondary indexes and their relationships, written in one transaction.
//
// A program declares what it stores in plain Go: no struct tags, no reflection
// over fields, no names of fields as strings.
//
//	var byEmail = tito.Index("by_email", tito.String(func(u *User) string { return u.Email }),
//		&tito.IndexOptions[User]{Unique: true})
//
//	var Users = tito.Define(tito.Schema[User, string]{
//		Table:   "users",
//		ID:      tito.StringID(func(u *User) *string { return &u.ID }),
//		Indexes: tito.Indexes(byEmail),
//	})
//
// Tables and indexes are immutable handles that hold no store. [Open] binds
// them to one, and every read and write names the database or transaction it
// is for:
//
//	db, err := tito.Open(ctx, store, nil, Users)
//	err = db.Update(ctx, func(tx *tito.Tx) error {
//		u, err := Users.Create(ctx, tx, &User{Email: "ada@example.com"}, nil)
//		...
//	})
//	u, err := Users.Where(byEmail.Eq("ada@example.com")).One(ctx, db)
//
// # Indexes
//
// An index is an ordered set of entries: the encoded values of one to three
// fields, then the row's id. Fields are strings, bytes, booleans, integers,
// floats, times, UUIDs or types that encode themselves ([KeyAppender]); [Opt]
// makes them nullable, [Each] multi-valued, Desc descending. A unique index
// refuses a second row with the same values, a conditional one (When) leaves
// rows out.
//
// Conditions are methods of the index: Eq, In, Ge, Gt, Le, Lt, Null,
// HasPrefix, on the fields from the left, with At for the leading ones. What
// no index serves cannot be asked for; [Table.Scan] is the explicit full scan.
//
// # Events
//
// A table that declares events publishes one to each of its topics with every
// write of a row, in the same transaction: an [Event] exists if and only if the
// row was written. [Table.Consume] makes a worker that gets them with the table's
// types and a transaction; what it writes commits together with its progress. Other
// workers subscribe through [DB.Queue], read an event with [Table.ParseEvent], or with
// [ParseEvent] without the table's types, and write rows through [DB.Tx]. Publishing
// adds nothing to a write's driver calls. A write refuses an event whose images are too
// large before it writes anything.
//
// # Guarantees
//
// Rows, entries and relations of one transaction commit together or not at
// all, under the isolation that package kv describes; [Table.Lock] prevents
// write skew between rows. A row keeps the list of its own entries, so a write
// removes exactly those that are there and changes only the difference. A write
// checks everything before it writes anything; after an error that could leave
// part of it (kv.ErrTxnTooLarge) the transaction cannot commit. A row that
// cannot be decoded is an error that names table and id; it is never left out.
// Functions of a [Schema] may write through the transaction of the write that calls
// them; if they change its row behind its back, that write fails with [ErrStale].
//
// # Costs
//
// Any Create, Put or Update, of one row or many, is one batch get and the
// commit; Patch and Delete one get and the commit; a Get one get; a page by
// index one cursor and one batch get; each level of relations one batch get.
// Tests assert this with kvfault.Counting.
//
// # Reading the source
//
// table.go is what a program declares, with field.go, id.go, index.go, codec.go and
// relation.go for its parts. db.go opens a store, and binding.go keeps what its catalogue
// says of the declarations; tx.go is a transaction. write.go has the calls that change
// rows, prepare.go makes mutations of their records, publish.go the events that follow.
// read.go reads rows by id. query.go finds rows, condition.go makes the ranges that
// conditions stand for, plan.go what a walk needs of a query, page.go the cursors.
// event.go is what events say, eventvalue.go how they are stored, consume.go the workers
// that get them.
//
// What needs no types lies beneath: internal/record holds rows and entries as bytes and
// the one way in which they change, unique values among it; internal/scan walks entries
// and reads the rows behind them; internal/catalog is what a store knows of its tables.
// docs/format.md specifies the bytes.
package tito
