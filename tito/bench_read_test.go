package tito_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// benchReadRows is how many rows there are to read.
const benchReadRows = 10_000

// BenchmarkGet reads rows by id, each in a snapshot of its own.
func BenchmarkGet(b *testing.B) {
	for _, e := range benchEngines() {
		b.Run(e.name, func(b *testing.B) {
			const calls = 200
			db := openBench(b, e)
			db.fill(b, benchReadRows)
			db.mirror(b)
			prefixes := findBenchPrefixes(b)
			var ids []string
			var keys [][]byte
			for i := range calls {
				id := benchUserAt(i * 7919 % benchReadRows).ID
				ids, keys = append(ids, id), append(keys, keyenc.AppendString(prefixes.users, id))
			}
			duel{
				units: calls,
				raw: func() {
					for _, k := range keys {
						db.raw.view(func(tx benchRawTx) { tx.get(k, benchDecodeUser(b)) })
					}
				},
				tito: func() {
					for _, id := range ids {
						_, err := benchUsers.Get(context.Background(), db, id)
						benchMust(b, err)
					}
				},
			}.run(b)
		})
	}
}

// BenchmarkFirstUnique looks rows up by a value of a unique index: two gets.
func BenchmarkFirstUnique(b *testing.B) {
	for _, e := range benchEngines() {
		b.Run(e.name, func(b *testing.B) {
			const calls = 200
			db := openBench(b, e)
			db.fill(b, benchReadRows)
			db.mirror(b)
			prefixes := findBenchPrefixes(b)
			var users []*benchUser
			for i := range calls {
				users = append(users, benchUserAt(i*7919%benchReadRows))
			}
			duel{
				units: calls,
				raw: func() {
					for _, u := range users {
						db.raw.view(func(tx benchRawTx) {
							tx.get(keyenc.AppendString(prefixes.byEmail, u.Email), func(pk []byte) {
								tx.get(append(prefixes.users, pk...), benchDecodeUser(b))
							})
						})
					}
				},
				tito: func() {
					for _, u := range users {
						_, err := benchUsers.Where(benchByEmail.Eq(u.Email)).First(context.Background(), db)
						benchMust(b, err)
					}
				},
			}.run(b)
		})
	}
}

// BenchmarkPage reads a page of 50 by an index, without and with a relation of
// its records.
func BenchmarkPage(b *testing.B) {
	for _, hydrate := range []bool{false, true} {
		for _, e := range benchEngines() {
			name := "plain/"
			if hydrate {
				name = "hydrated/"
			}
			b.Run(name+e.name, func(b *testing.B) { benchPage(b, e, hydrate) })
		}
	}
}

func benchPage(b *testing.B, e benchEngine, hydrate bool) {
	const calls, size = 20, tito.DefaultPageSize
	ctx := context.Background()
	db := openBench(b, e)
	db.fill(b, benchReadRows)
	db.mirror(b)
	q := benchUsers.Where(benchByRole.Eq("role-1", "status-1"))
	var with []tito.Relation[benchUser]
	if hydrate {
		with = append(with, benchTeamOf)
	}
	q = q.With(with...)
	raw := benchRawPage(b)
	duel{
		units: calls,
		raw: func() {
			for range calls {
				db.raw.view(func(tx benchRawTx) { raw(tx, size, hydrate) })
			}
		},
		tito: func() {
			for range calls {
				page, err := q.Page(ctx, db)
				benchMust(b, err)
				if len(page.Items) != size || hydrate && page.Items[0].Team == nil {
					b.Fatal("not a full page")
				}
			}
		},
	}.run(b)
}

// benchRawPage returns the raw program for the page: scan, batch get, decode.
func benchRawPage(b *testing.B) func(tx benchRawTx, size int, hydrate bool) {
	prefixes := findBenchPrefixes(b)
	start := keyenc.AppendString(keyenc.AppendString(prefixes.byRole, "role-1"), "status-1")
	r := kv.Range{Start: start, End: keyenc.PrefixEnd(start)}
	return func(tx benchRawTx, size int, hydrate bool) {
		keys := make([][]byte, 0, size+1)
		tx.scan(r, size+1, func(key []byte) {
			keys = append(keys, slices.Concat(prefixes.users, key[len(start):]))
		})
		page := make([]*benchUser, size)
		tx.batchGet(keys[:size], func(i int, row []byte) {
			page[i] = new(benchUser)
			benchMust(b, json.Unmarshal(benchRecord(row), page[i]))
		})
		if !hydrate {
			return
		}
		byID := map[int64]*benchTeam{}
		var ids []int64
		keys = keys[:0]
		for _, u := range page {
			if _, ok := byID[u.TeamID]; !ok {
				byID[u.TeamID] = nil
				ids = append(ids, u.TeamID)
				keys = append(keys, keyenc.AppendInt(prefixes.teams, u.TeamID))
			}
		}
		tx.batchGet(keys, func(i int, row []byte) {
			t := new(benchTeam)
			benchMust(b, json.Unmarshal(row[len(row)-benchTeamSize:], t))
			byID[ids[i]] = t
		})
		for _, u := range page {
			u.Team = byID[u.TeamID]
		}
	}
}

func benchDecodeUser(b *testing.B) func(row []byte) {
	return func(row []byte) { benchMust(b, json.Unmarshal(benchRecord(row), new(benchUser))) }
}
