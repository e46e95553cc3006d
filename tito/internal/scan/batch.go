package scan

import (
	"context"

	"github.com/tito-db/tito-go/kv"
)

// Batch is rows of any tables that are read with one batch get, each of them once. The
// zero value is an empty one.
type Batch struct {
	keys   [][]byte
	at     map[string]int
	values [][]byte
}

// Add asks for the row with the key, and returns its number. It keeps key, unless it
// was asked for it before.
func (b *Batch) Add(key []byte) int {
	i, ok := b.at[string(key)]
	if !ok {
		if b.at == nil {
			b.at = map[string]int{}
		}
		i = len(b.keys)
		b.keys = append(b.keys, key)
		b.at[string(key)] = i
	}
	return i
}

// Read reads the rows that were asked for. If there are none it calls no driver.
func (b *Batch) Read(ctx context.Context, txn *kv.Txn) (err error) {
	b.values, err = txn.BatchGet(ctx, b.keys)
	return err
}

// Len returns how many rows were asked for.
func (b *Batch) Len() int { return len(b.keys) }

// Key returns the key of row i.
func (b *Batch) Key(i int) []byte { return b.keys[i] }

// Value returns the value of row i after Read, nil if there is no such row.
func (b *Batch) Value(i int) []byte { return b.values[i] }
