package tito_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// naive is what the table of docs should hold: the reference of the model test.
type naive map[string]*Doc

// verdict is what a write should come to.
type verdict struct {
	err    error           // the sentinel, nil for success
	owners map[string]bool // for ErrDuplicate: "index owner" pairs that may be blamed
}

// uniques are the unique values that d holds.
func uniques(d *Doc) map[string]string {
	held := map[string]string{}
	for _, e := range docEntries(d) {
		if e.unique {
			held[e.index+"\x00"+e.values] = e.index
		}
	}
	return held
}

type writeKind int

const (
	create writeKind = iota
	put
	update_
)

// write applies recs to n, as one call, if the verdict allows it.
func (n naive) write(kind writeKind, recs []*Doc, expect uint64) verdict {
	if kind == create && expect != 0 {
		return verdict{err: tito.ErrOptions}
	}
	seen := map[string]bool{}
	for _, r := range recs {
		if seen[r.ID] {
			return verdict{err: tito.ErrRepeated}
		}
		seen[r.ID] = true
	}
	for _, r := range recs {
		old := n[r.ID]
		switch {
		case old == nil && (kind == update_ || expect != 0):
			return verdict{err: tito.ErrNotFound}
		case old != nil && kind == create:
			return verdict{err: tito.ErrExists}
		case old != nil && expect != 0 && expect != old.Meta.Revision:
			return verdict{err: tito.ErrStale}
		}
	}
	next := maps.Clone(n)
	for _, r := range recs {
		next[r.ID] = r
	}
	owners := map[string]bool{}
	for _, r := range recs {
		mine := uniques(r)
		for id, other := range next {
			if id == r.ID {
				continue
			}
			for value := range uniques(other) {
				if index, ok := mine[value]; ok {
					owners[index+" "+id] = true
				}
			}
		}
	}
	if len(owners) > 0 {
		return verdict{tito.ErrDuplicate, owners}
	}
	maps.Copy(n, next)
	return verdict{}
}

func (v verdict) check(t *rapid.T, err error) {
	if v.err == nil {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, v.err)
	var dup *tito.DuplicateError
	if errors.As(err, &dup) {
		require.Equal(t, "docs", dup.Table)
		require.True(t, v.owners[dup.Index+" "+dup.Owner.(string)], "%s has no conflict with %v, but with %v", dup.Index, dup.Owner, v.owners)
	} else {
		require.NotErrorIs(t, v.err, tito.ErrDuplicate)
	}
}

// genDoc draws records from few values, so that they collide.
func genDoc() *rapid.Generator[*Doc] {
	ids := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "a\x00", "aa"})
	word := rapid.SampledFrom([]string{"", "x", "y", "x\x00", "xx", "é"})
	size := rapid.SampledFrom([]int64{-300, -1, 0, 1, 255, 256})
	return rapid.Custom(func(t *rapid.T) *Doc {
		d := &Doc{
			ID:     ids.Draw(t, "id"),
			Email:  fmt.Sprint(rapid.IntRange(0, 8).Draw(t, "email")),
			Tags:   rapid.SliceOfN(word, 0, 3).Draw(t, "tags"),
			Slots:  rapid.SliceOfN(rapid.Int64Range(-2, 12), 0, 2).Draw(t, "slots"),
			Kind:   word.Draw(t, "kind"),
			Size:   size.Draw(t, "size"),
			Active: rapid.Bool().Draw(t, "active"),
			Code:   word.Draw(t, "code"),
			Note:   word.Draw(t, "note"),
		}
		if rapid.Bool().Draw(t, "has nick") {
			nick := word.Draw(t, "nick")
			d.Nick = &nick
		}
		if rapid.Bool().Draw(t, "has score") {
			score := rapid.SampledFrom([]float64{-1.5, 0, 2}).Draw(t, "score")
			d.Score = &score
		}
		return d
	})
}

// docProgram is one run of the model test.
type docProgram struct {
	store     *kv.Store
	prefix    string
	db        *tito.DB
	committed naive
	revisions map[string]uint64 // the highest of each id, also of rows deleted since
}

// TestWritesAgreeWithModel runs random programs of writes, in several
// transactions of which some are rolled back, whole or to a savepoint, against
// a reference, and checks the whole store after each.
func TestWritesAgreeWithModel(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		store := open(t, nil)
		programs := 0
		rapid.Check(t, func(rt *rapid.T) {
			prefix := fmt.Sprintf("%06d", programs) // they share the store and nothing else
			programs++
			db, err := tito.Open(context.Background(), store, &tito.Options{Prefix: []byte(prefix)}, docs)
			require.NoError(rt, err)
			p := docProgram{store, prefix, db, naive{}, map[string]uint64{}}
			for range rapid.IntRange(1, 4).Draw(rt, "transactions") {
				p.transaction(rt)
			}
		})
	})
}

func (p *docProgram) transaction(t *rapid.T) {
	ctx := context.Background()
	tx, err := p.db.Begin(ctx, nil)
	require.NoError(t, err)
	defer tx.Rollback()
	state := maps.Clone(p.committed)
	sp, err := tx.KV().Savepoint()
	require.NoError(t, err)
	saved := maps.Clone(state)
	for range rapid.IntRange(0, 8).Draw(t, "writes") {
		switch rapid.IntRange(0, 19).Draw(t, "savepoint") {
		case 0:
			sp, err = tx.KV().Savepoint()
			require.NoError(t, err)
			saved = maps.Clone(state)
		case 1:
			require.NoError(t, tx.KV().RollbackTo(sp))
			state = maps.Clone(saved)
		}
		p.write(t, tx, state)
		p.compare(t, tx, state)
	}
	if rapid.IntRange(0, 4).Draw(t, "roll back") == 0 {
		tx.Rollback()
	} else {
		require.NoError(t, tx.Commit(ctx))
		for id, d := range state {
			if old := p.committed[id]; old == nil || old != d {
				require.Greater(t, d.Meta.Revision, p.revisions[id], "a revision was used twice")
				p.revisions[id] = d.Meta.Revision
			}
		}
		p.committed = state
	}
	require.Equal(t, len(p.committed), checkStore(t, p.store, p.prefix, docCheck))
	p.compare(t, p.db, p.committed)
}

// compare reads everything in each way that there is.
func (p *docProgram) compare(t *rapid.T, r tito.Reader, want naive) {
	ctx := context.Background()
	ids := []string{"a", "b", "c", "d", "e", "a\x00", "aa", "none"}
	many, err := docs.GetMany(ctx, r, ids)
	require.NoError(t, err)
	for i, id := range ids {
		got, err := docs.Get(ctx, r, id)
		if want[id] == nil {
			require.ErrorIs(t, err, tito.ErrNotFound)
		} else {
			require.NoError(t, err)
		}
		require.Equal(t, want[id], got)
		require.Equal(t, want[id], many[i])
	}
	n, err := docs.Count(ctx, r)
	require.NoError(t, err)
	require.Equal(t, len(want), n)
}

// write does one random write to both.
func (p *docProgram) write(t *rapid.T, tx *tito.Tx, state naive) {
	ctx := context.Background()
	kind := rapid.SampledFrom([]writeKind{create, put, update_}).Draw(t, "kind")
	switch rapid.SampledFrom([]string{"one", "one", "many", "patch", "delete", "delete many"}).Draw(t, "form") {
	case "one":
		rec := genDoc().Draw(t, "rec")
		before := *rec
		o := genExpect(t, state[rec.ID])
		got, err := map[writeKind]func(context.Context, *tito.Tx, *Doc, *tito.WriteOptions) (*Doc, error){
			create: docs.Create, put: docs.Put, update_: docs.Update,
		}[kind](ctx, tx, rec, o)
		require.Equal(t, before, *rec, "the argument was changed")
		old := state[rec.ID]
		v := state.write(kind, []*Doc{rec}, o.Expect)
		v.check(t, err)
		if err == nil {
			p.stored(t, state, old, rec, got)
		}
	case "many":
		recs := rapid.SliceOfN(genDoc(), 0, 4).Draw(t, "recs")
		got, err := map[writeKind]func(context.Context, *tito.Tx, []*Doc, *tito.WriteOptions) ([]*Doc, error){
			create: docs.CreateMany, put: docs.PutMany, update_: docs.UpdateMany,
		}[kind](ctx, tx, recs, nil)
		old := maps.Clone(state)
		v := state.write(kind, recs, 0)
		v.check(t, err)
		if err == nil {
			require.Len(t, got, len(recs))
			for i, rec := range recs {
				p.stored(t, state, old[rec.ID], rec, got[i])
			}
		}
	case "patch":
		rec := genDoc().Draw(t, "rec")
		o := genExpect(t, state[rec.ID])
		part := rapid.SampledFrom([]string{"all", "note", "email", "slots", "id", "fail"}).Draw(t, "part")
		failure := errors.New("no")
		got, err := docs.Patch(ctx, tx, rec.ID, func(d *Doc) error {
			patchDoc(d, rec, part)
			if part == "fail" {
				return failure
			}
			return nil
		}, o)
		old := state[rec.ID]
		switch {
		case old == nil:
			require.ErrorIs(t, err, tito.ErrNotFound)
		case o.Expect != 0 && o.Expect != old.Meta.Revision:
			require.ErrorIs(t, err, tito.ErrStale, "before the function is called")
		case part == "fail":
			require.Equal(t, failure, err)
		case part == "id":
			require.ErrorIs(t, err, tito.ErrIDChanged)
		default:
			patched := *old
			patchDoc(&patched, rec, part)
			v := state.write(update_, []*Doc{&patched}, o.Expect)
			v.check(t, err)
			if err == nil {
				p.stored(t, state, old, &patched, got)
			}
		}
	case "delete":
		id := genDoc().Draw(t, "rec").ID
		old := state[id]
		o := genExpect(t, old)
		err := docs.Delete(ctx, tx, id, o)
		switch {
		case old == nil:
			require.ErrorIs(t, err, tito.ErrNotFound)
		case o.Expect != 0 && o.Expect != old.Meta.Revision:
			require.ErrorIs(t, err, tito.ErrStale)
		default:
			require.NoError(t, err)
			delete(state, id)
		}
	case "delete many":
		var ids []string
		n := 0
		for _, d := range rapid.SliceOfN(genDoc(), 0, 4).Draw(t, "recs") {
			if state[d.ID] != nil && !slices.Contains(ids, d.ID) {
				n++
			}
			ids = append(ids, d.ID)
		}
		got, err := docs.DeleteMany(ctx, tx, ids, nil)
		require.NoError(t, err)
		require.Equal(t, n, got)
		for _, id := range ids {
			delete(state, id)
		}
	}
}

func patchDoc(d, from *Doc, part string) {
	switch part {
	case "all", "fail":
		meta := d.Meta
		*d = *from
		d.Meta = meta
	case "note":
		d.Note = from.Note
	case "email":
		d.Email = from.Email
	case "slots":
		d.Slots = from.Slots
	case "id":
		d.ID += "!"
	}
}

func genExpect(t *rapid.T, old *Doc) *tito.WriteOptions {
	o := &tito.WriteOptions{}
	switch rapid.IntRange(0, 5).Draw(t, "expect") {
	case 0:
		o.Expect = 1
	case 1:
		if old != nil {
			o.Expect = old.Meta.Revision
		}
	}
	return o
}

// stored checks what a write returned, and takes over its revision and times.
func (p *docProgram) stored(t *rapid.T, state naive, old, rec, got *Doc) {
	require.NotSame(t, rec, got)
	m := got.Meta
	require.Positive(t, m.Revision)
	require.False(t, m.Updated.Before(m.Created))
	if old != nil {
		require.Equal(t, old.Meta.Created, m.Created)
		require.GreaterOrEqual(t, m.Revision, old.Meta.Revision)
	}
	want := *rec
	want.Meta = m
	require.Equal(t, &want, got)
	state[rec.ID] = got
}
