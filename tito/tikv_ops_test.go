package tito_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/txnkv/txnsnapshot"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/tikv/tikvtest"
	"github.com/tito-db/tito-go/tito"
)

// What Tito costs on TiKV is compared with a program written by hand, which knows
// nothing but the client library, and does the same reads and writes in one
// transaction with the same codec, on keys of its own in the same cluster.

// userTable is what a tikvOp works on: the table of the other benchmarks, with
// three indexes, one of them unique.
type userTable = *tito.Table[benchUser, string]

// tikvOp is one operation, which is a transaction of its own.
type tikvOp struct {
	name     string
	readOnly bool
	decodes  bool // the row that it reads
	events   bool // the table has one of each write, with what it stored
	before   func(ctx context.Context, tx *tito.Tx, users userTable, round int) error
	run      func(ctx context.Context, tx *tito.Tx, users userTable, round int) error
}

// tikvRows is how many rows there are before; round r creates row tikvRows + r.
const tikvRows = 200

func tikvOps() []tikvOp {
	create := func(ctx context.Context, tx *tito.Tx, users userTable, round int) error {
		_, err := users.Create(ctx, tx, benchUserAt(tikvRows+round), nil)
		return err
	}
	update := func(change func(u *benchUser, round int)) func(context.Context, *tito.Tx, userTable, int) error {
		return func(ctx context.Context, tx *tito.Tx, users userTable, round int) error {
			u := benchUserAt(round % tikvRows)
			change(u, round)
			_, err := users.Update(ctx, tx, u, nil)
			return err
		}
	}
	page := func(with ...tito.Relation[benchUser]) func(context.Context, *tito.Tx, userTable, int) error {
		return func(ctx context.Context, tx *tito.Tx, users userTable, _ int) error {
			p, err := users.Where(benchBySize).With(with...).Page(ctx, tx)
			if err == nil && len(p.Items) != tito.DefaultPageSize {
				err = fmt.Errorf("a page of %d", len(p.Items))
			}
			return err
		}
	}
	indexed := func(u *benchUser, round int) { u.Size = 1000 + (u.Size+int64(round))%9000 }
	other := func(u *benchUser, round int) { u.Name = fmt.Sprintf("Name %08x", round) }
	return []tikvOp{
		{name: "Create", run: create},
		{name: "Create with an event", events: true, run: create},
		{name: "Update of an indexed field", run: update(indexed)},
		{name: "Update of another field", run: update(other)},
		{name: "Patch of another field", decodes: true, run: func(ctx context.Context, tx *tito.Tx, users userTable, round int) error {
			_, err := users.Patch(ctx, tx, benchUserAt(round%tikvRows).ID, func(u *benchUser) error { other(u, round); return nil }, nil)
			return err
		}},
		{name: "Delete", before: create, run: func(ctx context.Context, tx *tito.Tx, users userTable, round int) error {
			return users.Delete(ctx, tx, benchUserAt(tikvRows+round).ID, nil)
		}},
		{name: "Get", readOnly: true, decodes: true, run: func(ctx context.Context, tx *tito.Tx, users userTable, round int) error {
			_, err := users.Get(ctx, tx, benchUserAt(round%tikvRows).ID)
			return err
		}},
		{name: "Page of 50", readOnly: true, decodes: true, run: page()},
		{name: "Page of 50 with a relation", readOnly: true, decodes: true, run: page(benchTeamOf)},
	}
}

// tikvContest has an operation done by Tito and by hand, round after round. What
// to do by hand it learns from a third database, in memory, whose driver's calls
// are noted.
type tikvContest struct {
	tb    testing.TB
	op    tikvOp
	users userTable
	round int

	db     *tito.DB
	client *tikv.KVStore // of db's store
	prefix string        // of it

	twin *tito.DB
	note *tikvNote

	own    string // prefix of what the program by hand has
	script tikvScript
}

func newTiKVContest(tb testing.TB, c *tikvtest.Cluster, op tikvOp) *tikvContest {
	tb.Helper()
	ctx := context.Background()
	schema := tito.Schema[benchUser, string]{
		Table: benchUserT, ID: tito.StringID(func(u *benchUser) *string { return &u.ID }),
		Indexes: tito.Indexes(benchByEmail, benchByRole, benchBySize), Relations: tito.Relations(benchTeamOf),
	}
	if op.events {
		schema.Events = []tito.Event[benchUser]{{Topic: "user", After: true}}
	}
	p := &tikvContest{tb: tb, op: op, users: tito.Define(schema), note: &tikvNote{}, prefix: c.Prefix(tb), own: c.Prefix(tb)}
	store, err := c.OpenAt(ctx, p.prefix, nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, store.Close()) })
	require.True(tb, store.As(&p.client))
	memoryOf := &memory.Options{Options: kv.Options{Wrap: p.note.wrap}}
	twin, err := memory.Open(memoryOf)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, twin.Close()) })
	p.db, err = tito.Open(ctx, store, nil, p.users, benchTeamsTable)
	require.NoError(tb, err)
	p.twin, err = tito.Open(ctx, twin, nil, p.users, benchTeamsTable)
	require.NoError(tb, err)
	p.all(func(tx *tito.Tx) error {
		for id := range int64(benchTeams) {
			if _, err := benchTeamsTable.Put(ctx, tx, &benchTeam{id + 1, fmt.Sprint("team ", id)}, nil); err != nil {
				return err
			}
		}
		_, err := p.users.CreateMany(ctx, tx, benchUsersAt(0, tikvRows), &tito.WriteOptions{NoEvents: true})
		return err
	})
	return p
}

// all changes all three databases.
func (p *tikvContest) all(fn func(tx *tito.Tx) error) {
	p.tb.Helper()
	require.NoError(p.tb, p.db.Update(context.Background(), fn))
	require.NoError(p.tb, p.twin.Update(context.Background(), fn))
	p.script = p.note.script
	p.byHand()
}

// prepare makes ready for the next round.
func (p *tikvContest) prepare() {
	p.tb.Helper()
	ctx := context.Background()
	p.round++
	if p.op.before != nil {
		p.all(func(tx *tito.Tx) error { return p.op.before(ctx, tx, p.users, p.round) })
	}
	p.byTito(p.twin)
	p.script = p.note.script
	for i, w := range p.script.writes {
		u := new(benchUser)
		if n := len(w.Value) - benchUserSize; n > 0 && json.Unmarshal(w.Value[n:], u) == nil {
			p.script.row, p.script.rec = i, u
			break
		}
	}
}

func (p *tikvContest) byTito(db *tito.DB) {
	p.tb.Helper()
	ctx := context.Background()
	fn := func(tx *tito.Tx) error { return p.op.run(ctx, tx, p.users, p.round) }
	if p.op.readOnly {
		require.NoError(p.tb, db.View(ctx, fn))
	} else {
		require.NoError(p.tb, db.Update(ctx, fn))
	}
}

// byHand does what the script says.
func (p *tikvContest) byHand() {
	p.tb.Helper()
	if p.op.readOnly && p.script.writes == nil {
		ts, err := p.client.CurrentTimestamp(oracle.GlobalTxnScope)
		require.NoError(p.tb, err)
		p.reads(func() tikvReader { return p.client.GetSnapshot(ts) })
		return
	}
	txn, err := p.client.Begin()
	require.NoError(p.tb, err)
	txn.SetEnable1PC(true)
	txn.SetEnableAsyncCommit(true)
	p.reads(func() tikvReader { return txn })
	var payload []byte
	if p.script.rec != nil {
		payload, err = json.Marshal(p.script.rec)
		require.NoError(p.tb, err)
	}
	for i, w := range p.script.writes {
		value := w.Value
		if payload != nil && i == p.script.row {
			value = append(bytes.Clone(value[:len(value)-len(payload)]), payload...)
		}
		if value == nil {
			err = txn.Delete(p.ownKey(w.Key))
		} else {
			err = txn.Set(p.ownKey(w.Key), value)
		}
		require.NoError(p.tb, err)
	}
	require.NoError(p.tb, txn.Commit(context.Background()))
}

// tikvReader is a snapshot, or a transaction, of the client library.
type tikvReader interface {
	Get(ctx context.Context, k []byte) ([]byte, error)
	BatchGet(ctx context.Context, keys [][]byte) (map[string][]byte, error)
}

func (p *tikvContest) reads(reader func() tikvReader) {
	p.tb.Helper()
	ctx := context.Background()
	for _, r := range p.script.reads {
		switch {
		case r.cursor != nil:
			snapshot, ok := reader().(*txnsnapshot.KVSnapshot)
			require.True(p.tb, ok)
			snapshot.SetKeyOnly(r.options.KeysOnly)
			snapshot.SetScanBatchSize(r.options.PageSize)
			it, err := snapshot.Iter(p.ownKey(r.cursor.Start), p.ownKey(r.cursor.End))
			require.NoError(p.tb, err)
			for n := 1; n < r.entries; n++ {
				require.True(p.tb, it.Valid())
				require.NoError(p.tb, it.Next())
			}
			it.Close()
		case r.batch:
			keys := make([][]byte, len(r.keys))
			for i, k := range r.keys {
				keys[i] = p.ownKey(k)
			}
			values, err := reader().BatchGet(ctx, keys)
			require.NoError(p.tb, err)
			for _, k := range keys {
				p.decode(values[string(k)])
			}
		default:
			value, err := reader().Get(ctx, p.ownKey(r.keys[0]))
			require.NoError(p.tb, err)
			p.decode(value)
		}
	}
}

func (p *tikvContest) decode(row []byte) {
	p.tb.Helper()
	switch {
	case !p.op.decodes || row == nil:
	case len(row) > benchUserSize:
		require.NoError(p.tb, json.Unmarshal(benchRecord(row), new(benchUser)))
	default:
		require.NoError(p.tb, json.Unmarshal(row[len(row)-benchTeamSize:], new(benchTeam)))
	}
}

// ownKey is where the program by hand keeps what Tito has at k. It is a place that
// tikvtest clears.
func (p *tikvContest) ownKey(k []byte) []byte { return append(append([]byte(p.own), 1), k...) }

// tikvScript is what a transaction asked of its driver.
type tikvScript struct {
	reads  []tikvRead
	writes []kv.Write

	row int        // of writes, if rec is set
	rec *benchUser // in it
}

type tikvRead struct {
	keys    [][]byte
	batch   bool
	cursor  *kv.Range
	options kv.CursorOptions
	entries int
}

// tikvNote notes the script of the latest transaction of a driver.
type tikvNote struct {
	kv.Driver
	script tikvScript
}

func (n *tikvNote) wrap(d kv.Driver) kv.Driver {
	n.Driver = d
	return n
}

func (n *tikvNote) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	n.script = tikvScript{}
	tx, err := n.Driver.Begin(ctx, o)
	return notedTxn{tx, n}, err
}

type notedTxn struct {
	kv.DriverTxn
	n *tikvNote
}

func (t notedTxn) Get(ctx context.Context, key []byte) ([]byte, error) {
	t.n.script.reads = append(t.n.script.reads, tikvRead{keys: [][]byte{bytes.Clone(key)}})
	return t.DriverTxn.Get(ctx, key)
}

func (t notedTxn) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	r := tikvRead{batch: true}
	for _, k := range keys {
		r.keys = append(r.keys, bytes.Clone(k))
	}
	t.n.script.reads = append(t.n.script.reads, r)
	return t.DriverTxn.BatchGet(ctx, keys)
}

func (t notedTxn) Cursor(ctx context.Context, r kv.Range, o kv.CursorOptions) (kv.DriverCursor, error) {
	t.n.script.reads = append(t.n.script.reads, tikvRead{cursor: &r, options: o})
	c, err := t.DriverTxn.Cursor(ctx, r, o)
	return notedCursor{c, &t.n.script.reads[len(t.n.script.reads)-1]}, err
}

func (t notedTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	t.n.script.writes = c.Writes
	return t.DriverTxn.Commit(ctx, c)
}

// notedCursor is used before anything else is read.
type notedCursor struct {
	kv.DriverCursor
	r *tikvRead
}

func (c notedCursor) Next(ctx context.Context) bool {
	more := c.DriverCursor.Next(ctx)
	if more {
		c.r.entries++
	}
	return more
}
