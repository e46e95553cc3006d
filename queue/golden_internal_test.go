package queue

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/cluster"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
	"github.com/tito-db/tito-go/queue/internal/group"
	"github.com/tito-db/tito-go/queue/internal/keyhash"
)

var updateGolden = flag.Bool("update", false, "rewrite testdata/rows.golden; existing lines must not change once released")

const goldenPath = "testdata/rows.golden"

// goldenRow is one row of each kind, and what a reader makes of its value.
type goldenRow struct {
	name       string
	key, value []byte
	read       func(value []byte) (any, error)
	want       any
}

var (
	goldenMember = cluster.ID{0xA0, 1, 2, 3, 4, 5, 6, 7}
	goldenToken  = group.Token{0xA0, 1, 2, 3, 4, 5, 6, 7, 0xB0, 9, 10, 11, 12, 13, 14, 15}
	goldenTime   = time.UnixMilli(946684800123) // 2000-01-01T00:00:00.123Z
)

const goldenVersion = kv.Version(946684800123<<18 | 5)

func goldenRows() []goldenRow {
	keys := eventlog.Keys{Prefix: []byte("app/")}
	m := Message{Topic: "user", Key: "k", Headers: map[string]string{"trace": "t1", "a": ""}, Payload: []byte("hello")}
	hash := keyhash.Of(m.Key)
	partition := eventlog.PartitionOf(hash, 1024)
	inbox := m.row().AppendRow(nil, hash)
	log := bytes.Clone(inbox)
	binary.BigEndian.PutUint64(log, uint64(goldenVersion))
	event := eventlog.Event{Seq: 7, Key: "k", Headers: m.Headers, Payload: m.Payload, Version: goldenVersion, Row: log}
	full := group.Checkpoint{Owner: goldenToken, Floor: 300, Crashes: 2, Quarantine: group.Started,
		Retry: group.Retry{Attempts: 3, Due: goldenTime, Wait: 1500 * time.Millisecond, Err: "oops"}}
	h := eventlog.Head{Last: make([]uint64, 1024/eventlog.Shards), Hint: eventlog.InboxPos{Version: goldenVersion, Nonce: 0xA001020304050607, Count: 9}}
	h.Last[46] = 300
	return []goldenRow{
		{"topic", keys.Topic("user"), eventlog.AppendTopic(nil, 1024, goldenTime), func(v []byte) (any, error) { return eventlog.ParseTopic(v) }, 1024},
		{"inbox", h.Hint.Append(append(keys.Inbox("user"), byte(eventlog.ShardOf(hash)))), inbox, nil, nil},
		{"head", keys.Head("user", eventlog.ShardOf(hash)), h.Append(nil), func(v []byte) (any, error) { return eventlog.ParseHead(v, 1024/eventlog.Shards) }, h},
		{"event", eventlog.AppendPosition(keys.Events("user"), partition, 7), log,
			func(v []byte) (any, error) { return eventlog.ParseEvent("user", partition, 7, v) }, event},
		{"group from oldest", group.Key(keys.Prefix, "user", "mailer"), (&group.Origin{}).Append(nil, goldenTime),
			func(v []byte) (any, error) { return group.ParseOrigin(v, 16) }, group.Origin{}},
		{"group from newest", group.Key(keys.Prefix, "user", "mailer"), (&group.Origin{Floors: []uint64{0, 1, 300, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}}).Append(nil, goldenTime),
			func(v []byte) (any, error) { return group.ParseOrigin(v, 16) }, group.Origin{Floors: []uint64{0, 1, 300, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}}},
		{"checkpoint", eventlog.AppendPartition(group.CheckpointPrefix(keys.Prefix, "user", "mailer"), partition), full.Append(nil),
			func(v []byte) (any, error) { return group.ParseCheckpoint(v) }, full},
		{"checkpoint given back", eventlog.AppendPartition(group.CheckpointPrefix(keys.Prefix, "user", "mailer"), partition), (&group.Checkpoint{Floor: 1}).Append(nil),
			func(v []byte) (any, error) { return group.ParseCheckpoint(v) }, group.Checkpoint{Floor: 1}},
		{"dead letter", eventlog.AppendPosition(group.DeadPrefix(keys.Prefix, "user", "mailer"), partition, 7), group.AppendDead(nil, 5, goldenTime, "oops", log),
			func(v []byte) (any, error) { return group.ParseDead("user", partition, 7, v) }, group.Dead{Event: event, Attempts: 5, Reason: "oops", At: goldenTime}},
		{"member", cluster.Key(keys.Prefix, goldenMember), cluster.AppendMember(nil, 300, []cluster.Subject{{Topic: "user", Group: "mailer"}, {Topic: "user"}}),
			func(v []byte) (any, error) { return cluster.ParseMember(v) }, []cluster.Subject{{Topic: "user", Group: "mailer"}, {Topic: "user"}}},
		{"unique", keys.Unique("user", "id\x00"), eventlog.AppendUnique(nil, goldenTime), func(v []byte) (any, error) { return eventlog.ParseUnique(v) }, goldenTime},
		{"expiry", keys.Expiry("user", goldenTime, "id\x00"), eventlog.AppendExpiry(nil), nil, nil},
	}
}

// TestGolden pins every byte of every kind of row.
func TestGolden(t *testing.T) {
	var b strings.Builder
	for _, r := range goldenRows() {
		fmt.Fprintf(&b, "%s | % X | % X\n", r.name, r.key, r.value)
	}
	if *updateGolden {
		require.NoError(t, os.WriteFile(goldenPath, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(goldenPath)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

// TestGoldenIsRead reads the bytes of the file, not what is written now. What is
// cut short, longer, or of another format is refused.
func TestGoldenIsRead(t *testing.T) {
	text, err := os.ReadFile(goldenPath)
	require.NoError(t, err)
	rows := goldenRows()
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Len(t, lines, len(rows))
	for i, line := range lines {
		r := rows[i]
		if r.read == nil {
			continue
		}
		parts := strings.Split(line, " | ")
		value, err := hex.DecodeString(strings.ReplaceAll(parts[2], " ", ""))
		require.NoError(t, err)
		got, err := r.read(bytes.Clone(value))
		require.NoError(t, err, r.name)
		require.Equal(t, r.want, got, r.name)

		payload := 0 // the end of some rows is the payload, of any size
		if r.name == "event" || r.name == "dead letter" {
			payload = len("hello")
		}
		for n := range len(value) - payload {
			_, err := r.read(bytes.Clone(value[:n]))
			require.ErrorIs(t, err, ErrCorrupt, "%s of %d bytes", r.name, n)
		}
		if payload == 0 {
			_, err = r.read(append(bytes.Clone(value), 0))
			require.ErrorIs(t, err, ErrCorrupt, r.name)
		}
		at := 0 // of the byte that tells the format
		if r.name == "event" {
			at = 8
		}
		value[at]++
		_, err = r.read(value)
		require.ErrorIs(t, err, ErrNewerFormat, r.name)
		require.ErrorIs(t, err, kv.ErrNewerFormat, r.name)
		require.NotErrorIs(t, err, ErrCorrupt, r.name)
		value[at] = 0
		_, err = r.read(value)
		require.ErrorIs(t, err, ErrCorrupt, r.name)
		require.ErrorIs(t, err, kv.ErrCorrupt, r.name)
	}
}

// TestGoldenIsWritten looks for the rows of a running queue among those of the
// file: it writes no other kinds.
func TestGoldenIsWritten(t *testing.T) {
	kinds := map[byte]string{}
	for _, r := range goldenRows() {
		kinds[r.key[len("app/q")]] = r.name
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, MemoryStore)
		b.fresh()
		b.publish("k", "1", "2")
		b.move(b.sequencer(), eventlog.AllShards)
		w := b.worker(b.q, Subscription{TxHandler: b.effect})
		require.NotNil(t, b.take(w))
		for key := range b.dump() {
			require.Equal(t, byte(layout.SpaceQueue), key[0])
			require.Contains(t, kinds, key[1])
		}
	})
}

// TestDocumentedRows holds the examples in docs/format.md to the golden file.
func TestDocumentedRows(t *testing.T) {
	doc, err := os.ReadFile("../docs/format.md")
	require.NoError(t, err)
	text, err := os.ReadFile(goldenPath)
	require.NoError(t, err)
	var golden string // all bytes of keys and values
	for line := range strings.Lines(string(text)) {
		parts := strings.Split(strings.TrimSpace(line), " | ")
		golden += parts[1] + " " + parts[2] + " "
	}
	_, doc, ok := bytes.Cut(doc, []byte("<!-- golden: queue -->"))
	require.True(t, ok)
	n := 0
	for ok {
		var part []byte
		part, doc, _ = bytes.Cut(doc, []byte("<!-- /golden -->"))
		var example []string // the bytes of a block, without the words beside them
		for line := range strings.Lines(string(part)) {
			bytes, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
			example = append(example, strings.Fields(bytes)...)
		}
		require.NotEmpty(t, example)
		require.Contains(t, golden, strings.Join(example, " "))
		n++
		_, doc, ok = bytes.Cut(doc, []byte("<!-- golden: queue -->"))
	}
	require.Equal(t, 5, n)
}

// hashVectors were computed with another implementation (Python's integers). The
// FNV-1a hashes of "", "a", "b" and "foobar" are in the reference's list of test
// vectors, too.
var hashVectors = []struct {
	key       string
	hash      uint64
	shard     int
	partition [3]int // of 16, 1024 and 16384
}{
	{"", 0xefd01f60ba992926, 14, [3]int{14, 959, 15348}},
	{"a", 0x82a2a958a9bece5b, 8, [3]int{8, 522, 8360}},
	{"b", 0x6e673288764ad2d0, 6, [3]int{6, 441, 7065}},
	{"foobar", 0x2c22194922d1672b, 2, [3]int{2, 176, 2824}},
	{"k", 0x2ba437a975bf0065, 2, [3]int{2, 174, 2793}},
	{"user/42", 0xab51e013121d86fd, 10, [3]int{10, 685, 10964}},
	{"ü", 0x9a8fa3aaaa09fd21, 9, [3]int{9, 618, 9891}},
	{"\x00", 0xb9034ad37056f5fb, 11, [3]int{11, 740, 11840}},
	{"\x00\x00", 0xdb01c3104e99566d, 13, [3]int{13, 876, 14016}},
	{strings.Repeat("x", MaxKeySize), 0x483cbe384030516a, 4, [3]int{4, 288, 4623}},
}

func TestHashVectors(t *testing.T) {
	for _, v := range hashVectors {
		require.Equal(t, v.hash, keyhash.Of(v.key), "%q", v.key)
		require.Equal(t, v.shard, eventlog.ShardOf(v.hash))
		for i, n := range []int{16, 1024, 16384} {
			require.Equal(t, v.partition[i], eventlog.PartitionOf(v.hash, n))
		}
	}
	for x, want := range map[uint64]uint64{0: 0, 1: 0xb456bcfc34c2cb2c, 2: 0x3abf2a20650683e7, 1 << 63: 0x8f780810af31a493, 1<<64 - 1: 0x64b5720b4b825f21} {
		require.Equal(t, want, keyhash.Mix(x))
	}
	doc, err := os.ReadFile("../docs/format.md")
	require.NoError(t, err)
	for _, v := range hashVectors[:7] {
		require.Contains(t, string(doc), fmt.Sprintf("| `%s` | `%016X` | %d | %d |", v.key, v.hash, v.shard, v.partition[1]))
	}
}

// A shard owns a range of partitions, whatever the hash.
func TestShardOwnsPartitions(t *testing.T) {
	for _, n := range []int{16, 48, 1024, 16384} {
		seen := map[int]bool{}
		for i := range uint64(1 << 12) {
			for _, hash := range []uint64{i << 52, i<<52 | 1<<52 - 1} {
				p := eventlog.PartitionOf(hash, n)
				require.Equal(t, eventlog.ShardOf(hash), p/(n/eventlog.Shards))
				seen[p] = true
			}
		}
		if n <= 1024 {
			require.Equal(t, n, len(seen), "partitions that some hash has")
		}
	}
}

func fuzzRow(f *testing.F, name string, again func(v any) []byte) {
	var read func([]byte) (any, error)
	for _, r := range goldenRows() {
		if strings.HasPrefix(r.name, name) {
			f.Add(r.value)
			f.Add(r.value[:len(r.value)/2])
			read = r.read
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		v, err := read(b)
		require.Equal(t, before, b, "input changed")
		if err != nil {
			require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewerFormat), "%v", err)
			return
		}
		back, err := read(again(v))
		require.NoError(t, err)
		require.Equal(t, v, back)
	})
}

func FuzzParseTopic(f *testing.F) {
	fuzzRow(f, "topic", func(v any) []byte { return eventlog.AppendTopic(nil, v.(int), goldenTime) })
}

func FuzzParseHead(f *testing.F) {
	fuzzRow(f, "head", func(v any) []byte { h := v.(eventlog.Head); return h.Append(nil) })
}

func FuzzParseGroup(f *testing.F) {
	fuzzRow(f, "group", func(v any) []byte { s := v.(group.Origin); return s.Append(nil, goldenTime) })
}

func FuzzParseMember(f *testing.F) {
	fuzzRow(f, "member", func(v any) []byte { return cluster.AppendMember(nil, 1, v.([]cluster.Subject)) })
}

func FuzzParseUnique(f *testing.F) {
	fuzzRow(f, "unique", func(v any) []byte { return eventlog.AppendUnique(nil, v.(time.Time)) })
}

func FuzzParseCheckpoint(f *testing.F) {
	fuzzRow(f, "checkpoint", func(v any) []byte { c := v.(group.Checkpoint); return c.Append(nil) })
}

func FuzzParseEvent(f *testing.F) {
	fuzzRow(f, "event", func(v any) []byte { return v.(eventlog.Event).Row })
}

func FuzzParseDead(f *testing.F) {
	fuzzRow(f, "dead", func(v any) []byte {
		d := v.(group.Dead)
		return group.AppendDead(nil, d.Attempts, d.At, d.Reason, d.Event.Row)
	})
}

// FuzzMessage: what is published is what comes out.
func FuzzMessage(f *testing.F) {
	f.Add("k", "a", "b", []byte("p"), uint64(1))
	f.Add("", "", "\x00", []byte(nil), uint64(1<<63))
	f.Fuzz(func(t *testing.T, key, name, header string, payload []byte, version uint64) {
		m := Message{Key: key, Payload: payload, Headers: map[string]string{name: header, "x": key}}
		row := m.row().AppendRow(nil, keyhash.Of(key))
		require.Equal(t, keyhash.Of(key), binary.BigEndian.Uint64(row))
		binary.BigEndian.PutUint64(row, version)
		ev, err := eventlog.ParseEvent("topic", 3, 4, row)
		require.NoError(t, err)
		require.Equal(t, m.Key, ev.Key)
		require.Equal(t, m.Headers, ev.Headers)
		require.True(t, bytes.Equal(m.Payload, ev.Payload))
		require.Equal(t, kv.Version(version), ev.Version)
	})
}
