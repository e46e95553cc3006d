package record_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// tableOf returns the layout of a table with a unique index, 1, and a plain one, 2.
func tableOf(id uint64, name string) *record.Layout {
	l := &record.Layout{
		Table:       name,
		Rows:        layout.TablePrefix(nil, layout.DefaultNamespace, id, layout.KindRow),
		Entries:     layout.TablePrefix(nil, layout.DefaultNamespace, id, layout.KindEntry),
		Indexes:     []record.Index{{ID: 1, Name: "code", Fields: 1, Unique: true}, {ID: 2, Name: "tag", Fields: 1}},
		Fingerprint: id,
	}
	for i := range l.Indexes {
		l.Indexes[i].Prefix = keyenc.AppendUint(bytes.Clone(l.Entries), l.Indexes[i].ID)
	}
	return l
}

// world is a store with two tables, and a transaction in it.
type world struct {
	t       *testing.T
	store   *kv.Store
	calls   kvfault.Counting
	people  *record.Layout
	parcels *record.Layout
	tx      *kv.Txn
	changes record.Changes
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, people: tableOf(1, "people"), parcels: tableOf(2, "parcels")}
	var err error
	w.store, err = memory.Open(&memory.Options{Options: kv.Options{Wrap: w.calls.Wrap}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	w.begin()
	t.Cleanup(func() { w.tx.Rollback() })
	return w
}

func (w *world) begin() {
	var err error
	w.tx, err = w.store.Begin(w.t.Context(), nil)
	require.NoError(w.t, err)
}

// commit commits what was written and begins anew.
func (w *world) commit() {
	require.NoError(w.t, w.tx.Commit(w.t.Context()))
	w.begin()
}

func (w *world) batch() *record.Batch {
	b := new(record.Batch)
	b.Reset(w.tx, &w.changes)
	return b
}

// text is a record, whose encoding is itself.
type text struct {
	body string
	meta record.Meta
	err  error
	call func() // while it is encoded
}

type textEncoder struct{}

func (textEncoder) AppendRecord(dst []byte, rec any, meta record.Meta) ([]byte, error) {
	r := rec.(*text)
	if r.call != nil {
		r.call()
	}
	r.meta = meta
	return append(dst, r.body...), r.err
}

func pk(id string) []byte { return keyenc.AppendString(nil, id) }

// put adds a row whose body is its code, and which has the tags.
func put(b *record.Batch, l *record.Layout, id, code string, tags ...string) *record.Mutation {
	m := b.Add(l, l.AppendRowKey(nil, pk(id)))
	m.Codec, m.Encoder, m.Record = 7, textEncoder{}, &text{body: code}
	if code != "" {
		b.AddEntry(&l.Indexes[0], keyenc.AppendString(nil, code))
	}
	for _, tag := range tags {
		b.AddEntry(&l.Indexes[1], keyenc.AppendString(nil, tag))
	}
	return m
}

func remove(b *record.Batch, l *record.Layout, id string) *record.Mutation {
	m := b.Add(l, l.AppendRowKey(nil, pk(id)))
	m.Delete = true
	return m
}

// apply carries out what fill adds to a batch.
func (w *world) apply(fill func(b *record.Batch), effects ...record.Effect) error {
	b := w.batch()
	fill(b)
	return b.Apply(w.t.Context(), effects...)
}

func (w *world) must(fill func(b *record.Batch)) {
	w.t.Helper()
	require.NoError(w.t, w.apply(fill))
}

// dump lists what the transaction sees: rows by their record and entries, and index
// entries, with the table.
func (w *world) dump() []string {
	var all []string
	for _, l := range []*record.Layout{w.people, w.parcels} {
		for p, err := range w.tx.Scan(w.t.Context(), layout.PrefixRange(l.Rows), nil) {
			require.NoError(w.t, err)
			h, rec, err := record.ParseRow(p.Value)
			require.NoError(w.t, err)
			n := 0
			for list := h.Entries; len(list) > 0; n++ {
				list.Next()
			}
			all = append(all, fmt.Sprintf("%s %s=%s/%d", l.Table, name(p.Key[len(l.Rows):]), rec, n))
		}
		for i := range l.Indexes {
			ix := &l.Indexes[i]
			for p, err := range w.tx.Scan(w.t.Context(), layout.PrefixRange(ix.Prefix), nil) {
				require.NoError(w.t, err)
				values, owner, err := record.SplitEntry(p.Key[len(ix.Prefix):], p.Value, ix.Unique, ix.Fields)
				require.NoError(w.t, err)
				all = append(all, fmt.Sprintf("%s.%s %s:%s", l.Table, ix.Name, name(values), name(owner)))
			}
		}
	}
	return all
}

func name(key []byte) string {
	s, rest, err := keyenc.DecodeString(key)
	if err != nil || len(rest) > 0 {
		return fmt.Sprintf("%x", key)
	}
	return s
}

// refused requires that a call fails, about the row, and writes nothing.
func (w *world) refused(want error, table, id string, fill func(b *record.Batch), effects ...record.Effect) {
	w.t.Helper()
	size := w.tx.Size()
	err := w.apply(fill, effects...)
	require.ErrorIs(w.t, err, want)
	require.Equal(w.t, size, w.tx.Size(), "it wrote in spite of its error")
	var row *record.RowError
	require.ErrorAs(w.t, err, &row)
	require.Equal(w.t, table+" "+id, row.Layout.Table+" "+name(row.PK))
}

func TestDemands(t *testing.T) {
	w := newWorld(t)
	w.must(func(b *record.Batch) { put(b, w.people, "a", "1", "x", "y") })
	w.commit()
	value, err := w.tx.Get(t.Context(), w.people.AppendRowKey(nil, pk("a")))
	require.NoError(t, err)
	h, _, err := record.ParseRow(value)
	require.NoError(t, err)
	revision := h.Meta.Revision

	type verb func(b *record.Batch, id string) *record.Mutation
	store := func(b *record.Batch, id string) *record.Mutation { return put(b, w.people, id, "2") }
	drop := func(b *record.Batch, id string) *record.Mutation { return remove(b, w.people, id) }
	for _, c := range []struct {
		name   string
		verb   verb
		id     string
		demand record.Demand
		expect uint64
		want   error
	}{
		{"put over a row", store, "a", record.Anything, 0, nil},
		{"put over none", store, "b", record.Anything, 0, nil},
		{"put over the expected", store, "a", record.Anything, revision, nil},
		{"put over another revision", store, "a", record.Anything, revision + 1, record.ErrStale},
		{"put over none, expected", store, "b", record.Anything, revision, record.ErrNotFound},
		{"create over a row", store, "a", record.Absent, 0, record.ErrExists},
		{"create", store, "b", record.Absent, 0, nil},
		{"update", store, "a", record.Present, 0, nil},
		{"update of none", store, "b", record.Present, 0, record.ErrNotFound},
		{"update of the expected", store, "a", record.Present, revision, nil},
		{"update of another revision", store, "a", record.Present, revision + 1, record.ErrStale},
		{"delete", drop, "a", record.Present, 0, nil},
		{"delete of none", drop, "b", record.Present, 0, record.ErrNotFound},
		{"delete of another revision", drop, "a", record.Present, revision + 1, record.ErrStale},
		{"delete of anything", drop, "a", record.Anything, 0, nil},
		{"delete of anything that is not there", drop, "b", record.Anything, 0, nil},
	} {
		for _, load := range []bool{false, true} { // whether the row is read before
			t.Run(fmt.Sprintf("%s, load %t", c.name, load), func(t *testing.T) {
				sp, err := w.tx.Savepoint()
				require.NoError(t, err)
				before, size := w.dump(), w.tx.Size()
				b := w.batch()
				m := c.verb(b, c.id)
				m.Demand, m.Expect = c.demand, c.expect
				budget := kvfault.Counts{BatchGets: 1}
				if load {
					budget = kvfault.Counts{Gets: 1, BatchGets: min(len(m.Entries), 1)}
				}
				if c.want != nil && load {
					budget.BatchGets = 0
				}
				w.calls.Expect(t, budget, func() {
					if load {
						err = b.Load(t.Context())
					}
					if err == nil {
						err = b.Apply(t.Context())
					}
				})
				require.ErrorIs(t, err, c.want)
				if c.want != nil || c.id == "b" && m.Delete {
					require.Equal(t, size, w.tx.Size())
					require.Equal(t, before, w.dump())
				} else if m.Delete {
					require.Empty(t, w.dump())
					require.Nil(t, m.Value)
					require.Equal(t, value, m.Old)
				} else {
					require.Contains(t, w.dump(), "people "+c.id+"=2/1")
					require.Equal(t, uint64(w.tx.ReadVersion())+1, m.Meta.Revision)
					require.Equal(t, m.Meta, m.Record.(*text).meta)
				}
				require.NoError(t, w.tx.RollbackTo(sp))
			})
		}
	}
	t.Run("newer schema", func(t *testing.T) {
		w.must(func(b *record.Batch) { put(b, w.people, "a", "1").Schema = 2 })
		w.refused(record.ErrNewerSchema, "people", "a", func(b *record.Batch) { put(b, w.people, "a", "1").Schema = 1 })
		w.refused(record.ErrNewerSchema, "people", "a", func(b *record.Batch) { remove(b, w.people, "a") })
		w.must(func(b *record.Batch) { remove(b, w.people, "a").Schema = 2 })
	})
}

func TestCorruptRow(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.tx.Set(w.people.AppendRowKey(nil, pk("a")), []byte{record.RowFormat}))
	w.refused(record.ErrCorrupt, "people", "a", func(b *record.Batch) { put(b, w.people, "b", ""); put(b, w.people, "a", "") })
	w.refused(record.ErrCorrupt, "people", "a", func(b *record.Batch) { remove(b, w.people, "a") })
	require.NoError(t, w.tx.Set(w.people.AppendRowKey(nil, pk("a")), []byte{record.RowFormat + 1}))
	w.refused(record.ErrNewerFormat, "people", "a", func(b *record.Batch) { remove(b, w.people, "a") })
}

func TestUniqueValues(t *testing.T) {
	w := newWorld(t)
	w.must(func(b *record.Batch) { put(b, w.people, "a", "1", "x"); put(b, w.people, "b", "2", "x") })
	duplicate := func(owner string, fill func(b *record.Batch)) {
		t.Helper()
		size := w.tx.Size()
		err := w.apply(fill)
		require.ErrorIs(t, err, record.ErrDuplicate)
		var d *record.DuplicateError
		require.ErrorAs(t, err, &d)
		require.Equal(t, "people code "+owner, d.Layout.Table+" "+d.Index.Name+" "+name(d.Owner))
		require.Equal(t, size, w.tx.Size())
	}
	duplicate("a", func(b *record.Batch) { put(b, w.people, "c", "1") })
	duplicate("a", func(b *record.Batch) { put(b, w.people, "b", "1") })
	duplicate("c", func(b *record.Batch) { put(b, w.people, "c", "3"); put(b, w.people, "d", "3") })
	duplicate("a", func(b *record.Batch) { put(b, w.people, "a", "1", "new"); put(b, w.people, "c", "1") })
	duplicate("b", func(b *record.Batch) { remove(b, w.people, "a"); put(b, w.people, "c", "2") })
	duplicate("a", func(b *record.Batch) { remove(b, w.parcels, "a"); put(b, w.people, "c", "1") })

	w.must(func(b *record.Batch) { put(b, w.people, "a", "2", "x"); put(b, w.people, "b", "1", "y") })
	require.Equal(t, []string{"people a=2/2", "people b=1/2", "people.code 1:b", "people.code 2:a", "people.tag x:a", "people.tag y:b"}, w.dump())
	w.must(func(b *record.Batch) { put(b, w.people, "c", "1"); remove(b, w.people, "b") })
	require.Equal(t, []string{"people a=2/2", "people c=1/1", "people.code 1:c", "people.code 2:a", "people.tag x:a"}, w.dump())
}

func TestSeveralTables(t *testing.T) {
	w := newWorld(t)
	w.must(func(b *record.Batch) {
		put(b, w.people, "a", "1", "x")
		put(b, w.parcels, "a", "9")
		put(b, w.parcels, "b", "1")
	})
	w.commit()
	w.calls.Expect(t, kvfault.Counts{BatchGets: 1}, func() {
		w.must(func(b *record.Batch) {
			remove(b, w.people, "a").Demand = record.Present
			put(b, w.parcels, "a", "1")
			remove(b, w.parcels, "b")
			put(b, w.people, "b", "1")
		})
	})
	require.Equal(t, []string{"people b=1/1", "people.code 1:b", "parcels a=1/1", "parcels.code 1:a"}, w.dump())
	w.refused(record.ErrExists, "parcels", "a", func(b *record.Batch) {
		remove(b, w.people, "b")
		put(b, w.parcels, "a", "1").Demand = record.Absent
	})
}

func TestRepeats(t *testing.T) {
	w := newWorld(t)
	w.must(func(b *record.Batch) { put(b, w.people, "a", "1") })
	present := func(m *record.Mutation) { m.Demand = record.Present }
	for _, fill := range []func(b *record.Batch){
		func(b *record.Batch) { put(b, w.people, "a", "1"); put(b, w.people, "a", "2") },
		func(b *record.Batch) { put(b, w.people, "a", "1"); remove(b, w.people, "a") },
		func(b *record.Batch) { remove(b, w.people, "a"); put(b, w.people, "a", "1") },
		func(b *record.Batch) { remove(b, w.people, "a"); present(remove(b, w.people, "a")) },
		func(b *record.Batch) { present(remove(b, w.people, "a")); remove(b, w.people, "a") },
	} {
		w.refused(record.ErrRepeated, "people", "a", fill)
	}
	trace := &effect{}
	require.NoError(t, w.apply(func(b *record.Batch) {
		remove(b, w.people, "a")
		remove(b, w.parcels, "a")
		remove(b, w.people, "a")
	}, trace))
	require.Equal(t, []string{"change people a", "write"}, trace.log)
	require.Empty(t, w.dump())
}

func TestSizes(t *testing.T) {
	w := newWorld(t)
	limit := w.store.Info().Limits
	long := string(bytes.Repeat([]byte("k"), limit.MaxKeySize))
	w.refused(kv.ErrKeyTooLarge, "people", long, func(b *record.Batch) { put(b, w.people, "a", "1"); put(b, w.people, long, "") })
	w.refused(kv.ErrKeyTooLarge, "people", "a", func(b *record.Batch) { put(b, w.people, "a", long) })
	w.refused(kv.ErrKeyTooLarge, "people", "a", func(b *record.Batch) { put(b, w.people, "a", "", long) })
	w.refused(kv.ErrValueTooLarge, "people", "a", func(b *record.Batch) {
		put(b, w.people, "a", "").Record = &text{body: string(make([]byte, limit.MaxValueSize))}
	})
	w.must(func(b *record.Batch) { remove(b, w.people, long); remove(b, w.people, "a") })
}

// effect writes down what it is told.
type effect struct {
	name   string
	wants  map[string][]string // keys, by the id of the row
	told   [][]string          // values, one list for each change
	log    []string
	change func(m *record.Mutation) error
	write  func(tx *kv.Txn) error
	shared *[]string // if set, log
}

func (e *effect) note(what string) {
	if e.shared != nil {
		*e.shared = append(*e.shared, e.name+what)
		return
	}
	e.log = append(e.log, e.name+what)
}

func (e *effect) Want(m *record.Mutation, keys [][]byte) [][]byte {
	for _, k := range e.wants[name(m.PK())] {
		keys = append(keys, []byte(k))
	}
	return keys
}

func (e *effect) Change(_ context.Context, m *record.Mutation, values [][]byte) error {
	var told []string
	for _, v := range values {
		told = append(told, string(v))
	}
	e.told = append(e.told, told)
	e.note("change " + m.Layout.Table + " " + name(m.PK()))
	if e.change != nil {
		return e.change(m)
	}
	return nil
}

func (e *effect) Write(_ context.Context, tx *kv.Txn) error {
	e.note("write")
	if e.write != nil {
		return e.write(tx)
	}
	return nil
}

// Effects are told of each change in turn, with what they wanted to know, before
// anything is written, and write before the rows.
func TestEffects(t *testing.T) {
	w := newWorld(t)
	w.must(func(b *record.Batch) { put(b, w.people, "a", "1") })
	require.NoError(t, w.tx.Set([]byte("k1"), []byte("v1")))
	require.NoError(t, w.tx.Set([]byte("k2"), []byte("v2")))
	w.commit()
	var log []string
	quiet := func(*record.Mutation) error { require.Zero(t, w.tx.Size()); return nil }
	first := &effect{name: "1 ", shared: &log, change: quiet, wants: map[string][]string{"a": {"k1", "none"}, "gone": {"k1"}}}
	second := &effect{name: "2 ", shared: &log, change: quiet, wants: map[string][]string{"a": {"k2"}, "b": {"k1", "k2"}}}
	second.write = func(tx *kv.Txn) error {
		require.Zero(t, tx.Size())
		return tx.Set([]byte("counter"), []byte("1"))
	}
	w.calls.Expect(t, kvfault.Counts{BatchGets: 1}, func() {
		require.NoError(t, w.apply(func(b *record.Batch) {
			remove(b, w.people, "a")
			remove(b, w.people, "gone")
			put(b, w.parcels, "b", "1")
		}, first, second))
	})
	require.Equal(t, []string{
		"1 change people a", "2 change people a", "1 change parcels b", "2 change parcels b", "1 write", "2 write",
	}, log)
	require.Equal(t, [][]string{{"v1", ""}, nil}, first.told)
	require.Equal(t, [][]string{{"v2"}, {"v1", "v2"}}, second.told)
	require.Equal(t, []string{"parcels b=1/1", "parcels.code 1:b"}, w.dump())
	counter, err := w.tx.Get(t.Context(), []byte("counter"))
	require.NoError(t, err)
	require.Equal(t, "1", string(counter))
}

func TestNothingIsWrittenAfterAnError(t *testing.T) {
	w := newWorld(t)
	w.must(func(b *record.Batch) { put(b, w.people, "a", "1", "x"); put(b, w.people, "b", "2") })
	w.commit()
	failure := errors.New("no")
	at := func(id string) func(m *record.Mutation) error {
		return func(m *record.Mutation) error {
			if name(m.PK()) == id {
				return failure
			}
			return nil
		}
	}
	before := w.dump()
	fill := func(b *record.Batch) { put(b, w.people, "a", "3"); remove(b, w.people, "b") }
	for what, effects := range map[string][]record.Effect{
		"first change":  {&effect{change: at("a")}},
		"last change":   {&effect{}, &effect{change: at("b")}},
		"refused write": {&effect{write: func(*kv.Txn) error { return failure }}, &effect{}},
	} {
		require.ErrorIs(t, w.apply(fill, effects...), failure, what)
		require.Zero(t, w.tx.Size(), what)
	}
	w.refused(failure, "people", "c", func(b *record.Batch) {
		fill(b)
		put(b, w.people, "c", "4").Record = &text{err: failure}
	}, &effect{change: at("never")})
	require.Equal(t, before, w.dump())
}

// Functions of the program that run within a call, and write through the same
// transaction, do not make the call write what it should not.
func TestCallsWithinCalls(t *testing.T) {
	inner := map[string]struct {
		fill func(w *world, b *record.Batch)
		want error
	}{
		"another row":         {func(w *world, b *record.Batch) { put(b, w.people, "z", "9", "x") }, nil},
		"another table":       {func(w *world, b *record.Batch) { put(b, w.parcels, "a", "1") }, nil},
		"nothing":             {func(w *world, b *record.Batch) { remove(b, w.people, "z") }, nil},
		"this row":            {func(w *world, b *record.Batch) { put(b, w.people, "a", "1", "other") }, record.ErrStale},
		"this row's deletion": {func(w *world, b *record.Batch) { remove(b, w.people, "a") }, record.ErrStale},
		"a row to be made":    {func(w *world, b *record.Batch) { put(b, w.people, "new", "") }, record.ErrStale},
		"a unique value":      {func(w *world, b *record.Batch) { put(b, w.people, "z", "5") }, record.ErrDuplicate},
		"what is wanted": {func(w *world, _ *record.Batch) {
			require.NoError(w.t, w.tx.Set([]byte("wanted"), []byte("1")))
			w.changes.Note()
		}, record.ErrStale},
	}
	for what, c := range inner {
		for _, where := range []string{"encoder", "effect", "before"} {
			if where == "before" && (what == "what is wanted" || what == "a row to be made" || what == "a unique value") {
				continue // Apply reads it afterwards
			}
			t.Run(what+", from "+where, func(t *testing.T) {
				w := newWorld(t)
				w.must(func(b *record.Batch) { put(b, w.people, "a", "1", "x", "y"); put(b, w.people, "b", "2", "y") })
				w.commit()
				var within int // bytes written by the inner call
				call := func() {
					require.NoError(t, w.apply(func(b *record.Batch) { c.fill(w, b) }))
					within = w.tx.Size()
				}
				b := w.batch()
				m := put(b, w.people, "a", "5", "x")
				e := &effect{wants: map[string][]string{"a": {"wanted"}}}
				switch where {
				case "encoder":
					m.Record.(*text).call = call
				case "effect":
					e.change = func(m *record.Mutation) error {
						if name(m.PK()) == "a" {
							call()
						}
						return nil
					}
				case "before":
					require.NoError(t, b.Load(t.Context()))
					call()
				}
				if where != "before" {
					put(b, w.people, "b", "1", "y")
					put(b, w.people, "new", "")
				}
				err := b.Apply(t.Context(), e)
				require.ErrorIs(t, err, c.want)
				if c.want != nil {
					require.Equal(t, within, w.tx.Size())
					return
				}
				require.Contains(t, w.dump(), "people a=5/2")
				require.Contains(t, w.dump(), "people.code 5:a")
				require.NotContains(t, w.dump(), "people.tag y:a")
				if what == "another row" {
					require.Contains(t, w.dump(), "people z=9/2")
				}
			})
		}
	}
}
