// Package catalog is what a store knows about its tables: their ids, their indexes
// and the shapes of both. It brings that together with what a program declares.
//
// definition.go is a program's declaration, entry.go what the store keeps of it,
// reconcile.go how the two are compared. Those do no input or output. register.go
// reads and extends the catalogue in a transaction, and snapshot.go is the outcome,
// from which transactions take the layouts of tables. docs/format.md specifies the
// bytes.
package catalog
