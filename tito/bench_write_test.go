package tito_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// benchBatch is how many records a transaction inserts.
const benchBatch = 1000

// BenchmarkCreate inserts records with 3 indexes, one of them unique, 1000 in a
// transaction. The raw program writes the same keys; checked, it looks first,
// as Tito does, whether the row and the unique value exist.
func BenchmarkCreate(b *testing.B) {
	for _, e := range benchEngines() {
		for _, many := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/many=%t", e.name, many), func(b *testing.B) { benchCreate(b, e, many, false) })
		}
		b.Run(e.name+"/many=true/checked", func(b *testing.B) { benchCreate(b, e, true, true) })
	}
}

func benchCreate(b *testing.B, e benchEngine, many, checked bool) {
	ctx := context.Background()
	db := openBench(b, e)
	var recs []*benchUser
	var writes [][]kv.Write
	duel{
		units: benchBatch,
		prepare: func(round int) {
			recs = benchUsersAt(round*benchBatch, benchBatch)
			writes = benchTranscript(b, recs, nil, func(tx *tito.Tx, u *benchUser) error {
				_, err := benchUsers.Create(ctx, tx, u, nil)
				return err
			})
		},
		raw: func() {
			var look func(tx benchRawTx, i int)
			if checked {
				look = func(tx benchRawTx, i int) { // row and unique entry come first
					if tx.has(writes[i][0].Key) || tx.has(writes[i][1].Key) {
						b.Fatal("exists")
					}
				}
			}
			benchReplayAll(b, db.raw, writes, recs, look)
		},
		tito: func() {
			db.update(b, func(tx *tito.Tx) error {
				if many {
					_, err := benchUsers.CreateMany(ctx, tx, recs, nil)
					return err
				}
				for _, rec := range recs {
					if _, err := benchUsers.Create(ctx, tx, rec, nil); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}.run(b)
}

// benchReplayAll replays the writes of all recs in one transaction, and calls
// read before each.
func benchReplayAll[T any](b *testing.B, raw benchRaw, writes [][]kv.Write, recs []T, read func(tx benchRawTx, i int)) {
	raw.update(func(tx benchRawTx) {
		var buf []byte
		for i, rec := range recs {
			if read != nil {
				read(tx, i)
			}
			buf = benchReplay(b, tx, writes[i], rec, buf)
		}
	})
}

// BenchmarkCreateTags inserts records with 10 values in a multi-value index.
func BenchmarkCreateTags(b *testing.B) {
	for _, e := range benchEngines() {
		b.Run(e.name, func(b *testing.B) {
			const batch, tags = 100, 10
			ctx := context.Background()
			db := openBench(b, e)
			recs := make([]*benchPost, batch)
			var writes [][]kv.Write
			create := func(tx *tito.Tx, p *benchPost) error {
				_, err := benchPosts.Create(ctx, tx, p, nil)
				return err
			}
			duel{
				units: batch,
				prepare: func(round int) {
					for i := range recs {
						p := &benchPost{ID: fmt.Sprintf("post-%010d", round*batch+i), Body: benchUserAt(i).Bio}
						for tag := range tags {
							p.Tags = append(p.Tags, fmt.Sprintf("tag-%04d", (i*31+tag*7919)%5000))
						}
						recs[i] = p
					}
					writes = benchTranscript(b, recs, nil, create)
				},
				raw:  func() { benchReplayAll(b, db.raw, writes, recs, nil) },
				tito: func() { db.update(b, func(tx *tito.Tx) error { return benchEach(recs, tx, create) }) },
			}.run(b)
		})
	}
}

// BenchmarkChange changes rows that are there, 100 in a transaction. The raw
// program reads each row too, and decodes it where Tito has to.
func BenchmarkChange(b *testing.B) {
	ctx := context.Background()
	update := func(tx *tito.Tx, u *benchUser) error {
		_, err := benchUsers.Update(ctx, tx, u, nil)
		return err
	}
	updateMany := func(tx *tito.Tx, recs []*benchUser) error {
		_, err := benchUsers.UpdateMany(ctx, tx, recs, nil)
		return err
	}
	payload := func(u *benchUser) { u.Name = "Name 00000000" }
	indexed := func(u *benchUser) { u.Size = 10999 - u.Size }
	for _, c := range []struct {
		name   string
		change func(u *benchUser)
		one    func(tx *tito.Tx, u *benchUser) error
		many   func(tx *tito.Tx, recs []*benchUser) error
		decode bool
	}{
		{name: "Update/payload", change: payload, one: update},
		{name: "Update/indexed", change: indexed, one: update},
		{name: "UpdateMany/indexed", change: indexed, one: update, many: updateMany},
		{name: "Patch/payload", change: payload, decode: true, one: func(tx *tito.Tx, u *benchUser) error {
			_, err := benchUsers.Patch(ctx, tx, u.ID, func(stored *benchUser) error {
				stored.Name = u.Name
				return nil
			}, nil)
			return err
		}},
		{name: "Delete", change: payload, one: func(tx *tito.Tx, u *benchUser) error {
			return benchUsers.Delete(ctx, tx, u.ID, nil)
		}},
	} {
		for _, e := range benchEngines() {
			b.Run(c.name+"/"+e.name, func(b *testing.B) {
				benchChange(b, e, c.change, c.one, c.many, c.decode)
			})
		}
	}
}

func benchChange(b *testing.B, e benchEngine, change func(*benchUser), one func(*tito.Tx, *benchUser) error,
	many func(*tito.Tx, []*benchUser) error, decode bool,
) {
	const rows, batch = 5000, 100
	ctx := context.Background()
	db := openBench(b, e)
	db.fill(b, rows)
	db.mirror(b)
	prefixes := findBenchPrefixes(b)
	var recs []*benchUser
	var writes [][]kv.Write
	var keys [][]byte
	put := func(tx *tito.Tx, u *benchUser) error {
		_, err := benchUsers.Put(ctx, tx, u, nil)
		return err
	}
	restore := func(tx *tito.Tx, u *benchUser) error { return put(tx, benchUserOf(u)) }
	duel{
		units: batch,
		prepare: func(round int) {
			if recs != nil { // undo the round before
				old := benchTranscript(b, recs, nil, restore)
				db.update(b, func(tx *tito.Tx) error { return benchEach(recs, tx, restore) })
				db.raw.update(func(tx benchRawTx) {
					for _, ws := range old {
						for _, w := range ws {
							tx.set(w.Key, w.Value)
						}
					}
				})
			}
			recs = benchUsersAt(round*batch%rows, batch)
			keys = keys[:0]
			for _, u := range recs {
				change(u)
				keys = append(keys, keyenc.AppendString(prefixes.users, u.ID))
			}
			writes = benchTranscript(b, recs, restore, one)
		},
		raw: func() {
			if many != nil {
				db.raw.update(func(tx benchRawTx) {
					tx.batchGet(keys, func(int, []byte) {})
					var buf []byte
					for i, rec := range recs {
						buf = benchReplay(b, tx, writes[i], rec, buf)
					}
				})
				return
			}
			benchReplayAll(b, db.raw, writes, recs, func(tx benchRawTx, i int) {
				tx.get(keys[i], func(row []byte) {
					if decode {
						benchMust(b, json.Unmarshal(benchRecord(row), new(benchUser)))
					}
				})
			})
		},
		tito: func() {
			db.update(b, func(tx *tito.Tx) error {
				if many != nil {
					return many(tx, recs)
				}
				return benchEach(recs, tx, one)
			})
		},
	}.run(b)
}

func benchEach[T any](recs []T, tx *tito.Tx, one func(*tito.Tx, T) error) error {
	for _, rec := range recs {
		if err := one(tx, rec); err != nil {
			return err
		}
	}
	return nil
}
