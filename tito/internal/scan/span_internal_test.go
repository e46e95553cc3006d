package scan

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSpanContains(t *testing.T) {
	s := Span{[]byte("b"), []byte("d")}
	for key, want := range map[string]bool{"": false, "a\xff": false, "b": true, "c": true, "c\xff": true, "d": false, "da": false} {
		require.Equal(t, want, s.Contains([]byte(key)), key)
	}
	require.True(t, Span{}.Contains([]byte("\xff")))
	require.False(t, Span{[]byte("b"), []byte("b")}.Contains([]byte("b")))
	require.False(t, PrefixSpan([]byte("a")).Contains([]byte("b")))
	require.True(t, PrefixSpan([]byte("\xff")).Contains([]byte("\xff\xff")))
}

func TestSpansContain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, key := drawSpans(t), drawKey(t, "key")
		in := false
		for _, span := range s.all {
			in = in || span.Contains([]byte(key))
		}
		require.Equal(t, in, s.Contains([]byte(key)))
	})
}

func TestPrefixSpansAscendWithoutRepeats(t *testing.T) {
	s := PrefixSpans([][]byte{[]byte("c"), []byte("a\xff"), []byte("b"), []byte("c")})
	require.Equal(t, []Span{{[]byte("a\xff"), []byte("b")}, {[]byte("b"), []byte("c")}, {[]byte("c"), []byte("d")}}, s.all)
	require.Zero(t, PrefixSpans(nil).Len())
}

func TestClipAgreesWithDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpans(t)
		p := Position{[]byte(drawKey(t, "position")), rapid.Bool().Draw(t, "back"), rapid.Bool().Draw(t, "inclusive")}
		reverse := rapid.Bool().Draw(t, "reverse")
		first, rest := p.clip(s.all, reverse)
		key := drawKey(t, "key")
		side := key > string(p.Key) != reverse && key != string(p.Key) || key == string(p.Key) && p.Inclusive
		in := false
		for i, span := range rest {
			if i == 0 && !reverse || i == len(rest)-1 && reverse {
				span = first
			}
			in = in || span.Contains([]byte(key))
		}
		require.Equal(t, s.Contains([]byte(key)) && side, in)
		require.Equal(t, p, p.Flipped().Flipped())
	})
}

// Fingerprints are in cursors that users hold, so they stay what hash/fnv gives.
func TestFingerprint(t *testing.T) {
	want := func(reverse bool, parts ...string) uint64 {
		h := fnv.New64a()
		if reverse {
			parts = append(parts, "\x01")
		}
		for _, p := range parts {
			h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
			h.Write([]byte(p))
		}
		return h.Sum64()
	}
	for range 2 { // the second time from memory
		p := Plan{Layout: &testLayout, Spans: OneSpan(Span{})}
		require.Equal(t, want(false, "r", "", ""), p.Fingerprint())
		p.Reverse = true
		require.Equal(t, want(true, "r", "", ""), p.Fingerprint())
		p.Index, p.Version, p.Spans = &testUnique, 0x01020304, spans("a", "b", "c", "")
		for range 2 {
			require.Equal(t, want(true, "x1", "\x01\x02\x03\x04", "a", "b", "c", ""), p.Fingerprint())
			p.Index = &testTagged
			require.Equal(t, want(true, "x2", "\x01\x02\x03\x04", "a", "b", "c", ""), p.Fingerprint())
			p.Index = &testUnique
		}
		p.Limit, p.From = 3, &Position{Key: []byte("a")}
		require.Equal(t, want(true, "x1", "\x01\x02\x03\x04", "a", "b", "c", ""), p.Fingerprint())
	}
}

// manySpans are of keys with gaps between them.
func manySpans(n int) Spans {
	prefixes := make([][]byte, n)
	for i := range prefixes {
		prefixes[i] = []byte(fmt.Sprintf("%07d", 2*i))
	}
	return PrefixSpans(prefixes)
}

// A page of a set of very many spans costs what one of few does. What is counted is
// the memory that it takes and how often all spans are hashed; of looking at spans one
// after the other it is found out by comparison that a page does not do it.
func TestWorkOfPageIsThatOfItsSpans(t *testing.T) {
	store := testStore(t)
	pairs := map[string]string{}
	for i := 0; i < 1_000_000; i += 1_000 {
		pairs[fmt.Sprintf("r%07d", i)] = "row"
	}
	ctx, tx, end := begin(t, store, pairs)
	defer end()
	page := func(p *Plan) {
		p.Fingerprint()
		var r Rows
		r.Start(Source{Txn: tx}, p)
		defer r.Close()
		found, err := r.Next(ctx)
		require.NoError(t, err)
		require.Len(t, found, 10)
	}
	few, many := manySpans(20_000), manySpans(200_000)
	for _, reverse := range []bool{false, true} {
		plan := func(s Spans) *Plan {
			return &Plan{Layout: &testLayout, Spans: s, Reverse: reverse, Limit: 10, From: &Position{Key: []byte("0020000"), Inclusive: true}}
		}
		ofFew, ofMany := plan(few), plan(many)
		page(ofMany) // hashes the spans
		hashed := many.sum.Load()
		require.NotNil(t, hashed)
		memory := func(p *Plan) uint64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 20 {
				page(p)
			}
			runtime.ReadMemStats(&after)
			return (after.TotalAlloc - before.TotalAlloc) / 20
		}
		memory(ofFew)
		require.InDelta(t, memory(ofFew), memory(ofMany), 512)
		require.Same(t, hashed, many.sum.Load(), "hashed again")

		start := time.Now()
		for range 50 {
			page(ofMany)
		}
		pages := time.Since(start)
		start = time.Now()
		looked := 0
		for range 50 {
			for _, span := range many.all {
				if span.endsBefore([]byte("9999999")) {
					looked++
				}
			}
		}
		require.Less(t, pages, time.Since(start), "50 pages, to looking 50 times at each span")
		require.Equal(t, 50*many.Len(), looked)
	}
}
