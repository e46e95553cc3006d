package catalog

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// Register brings the catalogue beneath prefix and a program's tables together in tx,
// and returns what the catalogue says then. A table that the store has must agree with
// its declaration; one that the store lacks is added.
//
// Register reads with one batch get, and one cursor for each thing that must be empty:
// the catalogue without a head, a table with rows to which an index is new. Two
// programs that add at the same time conflict on the head, and the later one reads
// again what the other did.
func Register(ctx context.Context, tx *kv.Txn, prefix []byte, tables []Table) (*Snapshot, error) {
	all := kindPrefix(prefix, layout.CatalogTable, layout.KindCatalog)
	keys := [][]byte{keyenc.AppendNull(all[:len(all):len(all)])}
	for i := range tables {
		keys = append(keys, keyenc.AppendString(all[:len(all):len(all)], tables[i].Name))
	}
	values, err := tx.BatchGet(ctx, keys)
	if err != nil {
		return nil, err
	}
	h, err := readHead(ctx, tx, all, values[0])
	if err != nil {
		return nil, err
	}
	entries, owner, grown := make([]*entry, len(tables)), map[uint64]string{}, false
	for i := range tables {
		e, created := (*entry)(nil), values[i+1] == nil
		if created {
			e = h.newEntry(&tables[i])
		} else if e, err = parseEntry(values[i+1], tables[i].Name, h); err != nil {
			return nil, err
		}
		if owner[e.ID] != "" {
			return nil, fmt.Errorf("%w: catalogue: table %q has the id of another", record.ErrCorrupt, e.Name)
		}
		owner[e.ID], entries[i] = e.Name, e
		added, err := e.reconcile(&tables[i])
		if err != nil {
			return nil, err
		}
		if !created && len(added) == 0 {
			continue
		}
		if !created {
			if err := mustHaveNoRows(ctx, tx, prefix, e, added[0]); err != nil {
				return nil, err
			}
		}
		if err := put(tx, keys[i+1], e); err != nil {
			return nil, err
		}
		grown = true
	}
	if grown { // the head is written too if it is the same, so that a second writer conflicts
		if err := put(tx, keys[0], h); err != nil {
			return nil, err
		}
	}
	return newSnapshot(prefix, entries), nil
}

// kindPrefix returns the prefix of the keys of one kind of a table.
func kindPrefix(prefix []byte, table uint64, kind byte) []byte {
	return layout.TablePrefix(prefix, layout.DefaultNamespace, table, kind)
}

func put(tx *kv.Txn, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Set(key, b)
}

// readHead reads the catalogue's head, nil in a store that is new: there the catalogue
// must have no tables, since without the head their ids would be given again.
func readHead(ctx context.Context, tx *kv.Txn, all, value []byte) (head, error) {
	if value != nil {
		return parseHead(value)
	}
	empty, err := isEmpty(ctx, tx, all)
	if err == nil && !empty {
		err = fmt.Errorf("%w: the catalogue has tables, but no head", record.ErrCorrupt)
	}
	return head{Format: format, NextTable: layout.CatalogTable + 1}, err
}

// mustHaveNoRows fails if the table has rows, which an index new to it would lack.
func mustHaveNoRows(ctx context.Context, tx *kv.Txn, prefix []byte, e *entry, index string) error {
	empty, err := isEmpty(ctx, tx, kindPrefix(prefix, e.ID, layout.KindRow))
	if err == nil && !empty {
		err = fmt.Errorf("%w: table %q has rows without an entry in index %q, which is new to it; this version of Tito cannot build it",
			ErrIndexNotReady, e.Name, index)
	}
	return err
}

// isEmpty tells whether no key begins with prefix.
func isEmpty(ctx context.Context, tx *kv.Txn, prefix []byte) (bool, error) {
	for _, err := range tx.Scan(ctx, layout.PrefixRange(prefix), &kv.ScanOptions{Limit: 1, KeysOnly: true}) {
		return false, err
	}
	return true, nil
}
