package tito_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

// The benchmarks run Tito and the raw engine in turns, in one process, over the
// same keys and values, with the same codec and durability. They report
//
//	x-raw          median over the rounds of Tito's time by the engine's
//	us/rec         Tito's median time for one record (or call)
//	raw-us/rec     the engine's
//	allocs/rec     Tito's allocations for one record
//	raw-allocs/rec the engine's
//
// x-raw and the allocations are comparable between machines; b.N is the number
// of rounds.

// benchUser is encoded in benchUserSize bytes, whatever its values, and benchTeam
// in benchTeamSize, so that raw programs find the record at the end of a row.
type benchUser struct {
	ID     string     `json:"id"`
	Email  string     `json:"email"`
	Name   string     `json:"name"`
	Role   string     `json:"role"`
	Status string     `json:"status"`
	Size   int64      `json:"size"`
	TeamID int64      `json:"team_id"`
	Bio    string     `json:"bio"`
	Team   *benchTeam `json:"-"`
}

type benchTeam struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

type benchPost struct {
	ID   string   `json:"id"`
	Body string   `json:"body"`
	Tags []string `json:"tags"`
}

const (
	benchUserSize = 250
	benchRoles    = 4
	benchStatuses = 3
	benchTeams    = 9
	benchTeamSize = len(`{"id":1,"name":"team 0"}`)

	benchUserT tito.Name[benchUser, string] = "users"
	benchTeamT tito.Name[benchTeam, int64]  = "teams"
	benchPostT tito.Name[benchPost, string] = "posts"
)

var (
	benchByEmail = tito.Index("by_email", tito.String(func(u *benchUser) string { return u.Email }), &tito.IndexOptions[benchUser]{Unique: true})
	benchByRole  = tito.Index2("by_role_and_status",
		tito.String(func(u *benchUser) string { return u.Role }),
		tito.String(func(u *benchUser) string { return u.Status }), nil)
	benchBySize = tito.Index("by_size", tito.Int(func(u *benchUser) int64 { return u.Size }).Desc(), nil)
	benchTeamOf = tito.One("team", benchTeamT, func(u *benchUser) *int64 { return &u.TeamID }, func(u *benchUser, t *benchTeam) { u.Team = t })
	benchByTag  = tito.Index("by_tag", tito.Strings(func(p *benchPost) []string { return p.Tags }), nil)

	benchUsers = tito.Define(tito.Schema[benchUser, string]{
		Table: benchUserT, ID: tito.StringID(func(u *benchUser) *string { return &u.ID }),
		Indexes: tito.Indexes(benchByEmail, benchByRole, benchBySize), Relations: tito.Relations(benchTeamOf),
	})
	benchTeamsTable = tito.Define(tito.Schema[benchTeam, int64]{Table: benchTeamT, ID: tito.IntID(func(t *benchTeam) *int64 { return &t.ID })})
	benchPosts      = tito.Define(tito.Schema[benchPost, string]{
		Table: benchPostT, ID: tito.StringID(func(p *benchPost) *string { return &p.ID }),
		Indexes: tito.Indexes(benchByTag),
	})
)

// benchUserAt makes record i. Ids ascend, as generated ones do; the indexed
// values are scattered.
func benchUserAt(i int) *benchUser {
	mixed := uint64(i) * 0x9E3779B97F4A7C15 // a bijection
	u := &benchUser{
		ID:     fmt.Sprintf("user-%010d", i),
		Email:  fmt.Sprintf("%016x@example.com", mixed),
		Name:   fmt.Sprintf("Name %08x", uint32(mixed>>32)),
		Role:   fmt.Sprintf("role-%d", mixed>>40%benchRoles),
		Status: fmt.Sprintf("status-%d", mixed>>44%benchStatuses),
		Size:   int64(1000 + mixed>>20%9000),
		TeamID: int64(1 + mixed>>48%benchTeams),
	}
	const other = len(`{"id":"user-0000000000","email":"0000000000000000@example.com","name":"Name 00000000","role":"role-0","status":"status-0","size":1000,"team_id":1,"bio":""}`)
	u.Bio = strings.Repeat("x", benchUserSize-other)
	return u
}

// benchUserOf makes the record that benchUserAt made for the id of u.
func benchUserOf(u *benchUser) *benchUser {
	i, err := strconv.Atoi(strings.TrimPrefix(u.ID, "user-"))
	if err != nil {
		panic(err)
	}
	return benchUserAt(i)
}

func benchUsersAt(from, n int) []*benchUser {
	recs := make([]*benchUser, n)
	for i := range recs {
		recs[i] = benchUserAt(from + i)
	}
	return recs
}

// benchRecord returns the encoded record at the end of a row.
func benchRecord(row []byte) []byte { return row[len(row)-benchUserSize:] }

// benchEngine is a storage engine to run both programs on.
type benchEngine struct {
	name string
	open func(b *testing.B) *kv.Store
	raw  func(b *testing.B, s *kv.Store) benchRaw // the engine under s

	// settle does what the engine would otherwise still be busy with after a
	// large load, while something else is measured.
	settle func(b *testing.B, s *kv.Store)
}

// benchRaw is what the raw programs need of an engine.
type benchRaw interface {
	update(fn func(tx benchRawTx)) // commits NoSync
	view(fn func(tx benchRawTx))
}

type benchRawTx interface {
	get(key []byte, use func(value []byte)) // of a key that has one
	has(key []byte) bool
	batchGet(keys [][]byte, use func(i int, value []byte))
	set(key, value []byte)
	delete(key []byte)
	scan(r kv.Range, limit int, yield func(key []byte))
}

func benchEngines() []benchEngine {
	return []benchEngine{benchMemory(), benchPebble()}
}

func benchMemory() benchEngine {
	return benchEngine{
		name: "memory",
		open: func(b *testing.B) *kv.Store {
			s, err := memory.Open(nil)
			benchMust(b, err)
			b.Cleanup(func() { benchMust(b, s.Close()) })
			return s
		},
		raw:    func(b *testing.B, s *kv.Store) benchRaw { return benchKV{b, s} },
		settle: func(*testing.B, *kv.Store) { runtime.GC() },
	}
}

// benchKV is the memory engine, which has no other face than kv.Store.
type benchKV struct {
	b *testing.B
	s *kv.Store
}

func (r benchKV) update(fn func(tx benchRawTx)) {
	benchMust(r.b, r.s.Run(context.Background(), &kv.TxnOptions{Durability: kv.NoSync}, func(tx *kv.Txn) error {
		fn(benchKVTx{r.b, tx})
		return nil
	}))
}

func (r benchKV) view(fn func(tx benchRawTx)) {
	benchMust(r.b, r.s.View(context.Background(), func(tx *kv.Txn) error {
		fn(benchKVTx{r.b, tx})
		return nil
	}))
}

type benchKVTx struct {
	b  *testing.B
	tx *kv.Txn
}

func (r benchKVTx) get(key []byte, use func([]byte)) {
	value, err := r.tx.Get(context.Background(), key)
	benchMust(r.b, err)
	use(value)
}

func (r benchKVTx) has(key []byte) bool {
	ok, err := r.tx.Has(context.Background(), key)
	benchMust(r.b, err)
	return ok
}

func (r benchKVTx) batchGet(keys [][]byte, use func(int, []byte)) {
	values, err := r.tx.BatchGet(context.Background(), keys)
	benchMust(r.b, err)
	for i, v := range values {
		use(i, v)
	}
}

func (r benchKVTx) set(key, value []byte) { benchMust(r.b, r.tx.Set(key, value)) }
func (r benchKVTx) delete(key []byte)     { benchMust(r.b, r.tx.Delete(key)) }

func (r benchKVTx) scan(rg kv.Range, limit int, yield func([]byte)) {
	c, err := r.tx.Cursor(context.Background(), rg, &kv.ScanOptions{KeysOnly: true, Limit: limit})
	benchMust(r.b, err)
	defer c.Close()
	for c.Next(context.Background()) {
		yield(c.Key())
	}
	benchMust(r.b, c.Err())
}

// benchDB is a database, and a store of the raw programs' own.
type benchDB struct {
	*tito.DB
	raw benchRaw
}

func openBench(b *testing.B, e benchEngine) *benchDB {
	db, err := tito.Open(context.Background(), e.open(b), nil, benchUsers, benchTeamsTable, benchPosts)
	benchMust(b, err)
	return &benchDB{DB: db, raw: e.raw(b, e.open(b))}
}

// update runs fn in a transaction with the durability of the raw programs.
func (db *benchDB) update(b *testing.B, fn func(tx *tito.Tx) error) {
	benchMust(b, db.Store().Run(context.Background(), &kv.TxnOptions{Durability: kv.NoSync}, func(tx *kv.Txn) error {
		return fn(db.Tx(tx))
	}))
}

// fill creates the users [0, n) and the teams.
func (db *benchDB) fill(b *testing.B, n int) {
	ctx := context.Background()
	db.update(b, func(tx *tito.Tx) error {
		for id := range int64(benchTeams) {
			if _, err := benchTeamsTable.Put(ctx, tx, &benchTeam{id + 1, fmt.Sprint("team ", id)}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	for from := 0; from < n; from += 1000 {
		db.update(b, func(tx *tito.Tx) error {
			_, err := benchUsers.CreateMany(ctx, tx, benchUsersAt(from, min(1000, n-from)), nil)
			return err
		})
	}
}

// mirror copies the whole database to the raw program's store.
func (db *benchDB) mirror(b *testing.B) {
	const batch = 4000
	var held []kv.Pair
	flush := func() {
		db.raw.update(func(tx benchRawTx) {
			for _, p := range held {
				tx.set(p.Key, p.Value)
			}
		})
		held = held[:0]
	}
	benchMust(b, db.View(context.Background(), func(tx *tito.Tx) error {
		for p, err := range tx.KV().Scan(context.Background(), kv.Range{}, nil) {
			if err != nil {
				return err
			}
			if held = append(held, kv.Pair{Key: slices.Clone(p.Key), Value: slices.Clone(p.Value)}); len(held) == batch {
				flush()
			}
		}
		return nil
	}))
	flush()
}

// benchTranscript tells what a write of Tito does to the store, for the raw
// program to do the same: the writes of the commit in which do is run.
func benchTranscript[T any](b *testing.B, recs []T, before, do func(tx *tito.Tx, rec T) error) [][]kv.Write {
	var last []kv.Write
	s, err := memory.Open(&memory.Options{Options: kv.Options{Wrap: func(d kv.Driver) kv.Driver {
		return benchRecorder{d, &last}
	}}})
	benchMust(b, err)
	defer func() { benchMust(b, s.Close()) }()
	open, err := tito.Open(context.Background(), s, nil, benchUsers, benchTeamsTable, benchPosts)
	benchMust(b, err)
	db := benchDB{DB: open}
	transcript := make([][]kv.Write, len(recs))
	for i, rec := range recs {
		if before != nil {
			db.update(b, func(tx *tito.Tx) error { return before(tx, rec) })
		}
		db.update(b, func(tx *tito.Tx) error { return do(tx, rec) })
		transcript[i] = last
	}
	return transcript
}

// benchPrefixes are the parts of keys before ids and values. They have no
// spare capacity.
type benchPrefixes struct {
	users, teams, byEmail, byRole []byte
}

func findBenchPrefixes(b *testing.B) benchPrefixes {
	ctx := context.Background()
	u := benchUserAt(0)
	user := benchTranscript(b, []*benchUser{u}, nil, func(tx *tito.Tx, u *benchUser) error {
		_, err := benchUsers.Create(ctx, tx, u, nil)
		return err
	})[0]
	t := &benchTeam{1, "team 0"}
	team := benchTranscript(b, []*benchTeam{t}, nil, func(tx *tito.Tx, t *benchTeam) error {
		_, err := benchTeamsTable.Create(ctx, tx, t, nil)
		return err
	})[0]
	before := func(key, rest []byte) []byte { return slices.Clip(bytes.TrimSuffix(key, rest)) }
	pk := keyenc.AppendString(nil, u.ID)
	role := keyenc.AppendString(keyenc.AppendString(nil, u.Role), u.Status)
	return benchPrefixes{ // rows sort before entries, and these by the schema
		users:   before(user[0].Key, pk),
		teams:   before(team[0].Key, keyenc.AppendInt(nil, t.ID)),
		byEmail: before(user[1].Key, keyenc.AppendString(nil, u.Email)),
		byRole:  before(user[2].Key, append(role, pk...)),
	}
}

// benchRecorder is a driver that keeps what the last commit wrote.
type benchRecorder struct {
	kv.Driver
	last *[]kv.Write
}

func (r benchRecorder) Begin(ctx context.Context, o kv.BeginOptions) (kv.DriverTxn, error) {
	tx, err := r.Driver.Begin(ctx, o)
	return benchRecorderTxn{tx, r.last}, err
}

type benchRecorderTxn struct {
	kv.DriverTxn
	last *[]kv.Write
}

func (r benchRecorderTxn) Commit(ctx context.Context, c *kv.Commit) (kv.Version, error) {
	*r.last = slices.Clone(c.Writes)
	return r.DriverTxn.Commit(ctx, c)
}

// benchReplay is the raw program's write of one record: it encodes rec, and
// puts what Tito keeps before it, ready-made, in front.
func benchReplay(b *testing.B, tx benchRawTx, writes []kv.Write, rec any, buf []byte) []byte {
	payload, err := json.Marshal(rec)
	benchMust(b, err)
	for _, w := range writes {
		switch {
		case w.Value == nil:
			tx.delete(w.Key)
		case len(w.Value) > len(payload): // the row
			buf = append(append(buf[:0], w.Value[:len(w.Value)-len(payload)]...), payload...)
			tx.set(w.Key, buf)
		default:
			tx.set(w.Key, w.Value)
		}
	}
	return buf
}

// duel runs two programs that do the same in turns. A round of each handles
// units records; prepare, if set, comes before each round and is not counted.
type duel struct {
	units     int
	prepare   func(round int)
	raw, tito func()
}

func (d duel) run(b *testing.B) {
	b.Helper()
	var raw, own, ratio []float64
	round := 0
	for b.Loop() {
		if d.prepare != nil {
			d.prepare(round)
		}
		var r, t time.Duration
		if round%2 == 0 { // neither always pays for the other's garbage
			r, t = benchTime(d.raw), benchTime(d.tito)
		} else {
			t, r = benchTime(d.tito), benchTime(d.raw)
		}
		raw, own = append(raw, float64(r)), append(own, float64(t))
		ratio = append(ratio, float64(t)/float64(r))
		round++
	}
	units := float64(d.units)
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
	b.ReportMetric(benchMedian(ratio), "x-raw")
	b.ReportMetric(benchMedian(own)/units/1000, "us/rec")
	b.ReportMetric(benchMedian(raw)/units/1000, "raw-us/rec")
	for _, p := range []struct {
		name string
		fn   func()
	}{{"allocs/rec", d.tito}, {"raw-allocs/rec", d.raw}} {
		if d.prepare != nil {
			d.prepare(round)
			round++
		}
		b.ReportMetric(benchAllocs(p.fn)/units, p.name)
	}
}

func benchAllocs(fn func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

func benchTime(fn func()) time.Duration {
	start := time.Now()
	fn()
	return time.Since(start)
}

func benchMedian(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func benchMust(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}
