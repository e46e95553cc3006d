package scan

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito/internal/record"
)

func openStream(ctx context.Context, t require.TestingT, tx *kv.Txn, p *Plan) *Stream {
	s := new(Stream)
	require.NoError(t, s.open(ctx, tx, p, false, 0))
	return s
}

// pull returns what Next gives until the end.
func pull(ctx context.Context, t require.TestingT, s *Stream) []string {
	keys := []string{}
	for {
		e, ok, err := s.Next(ctx)
		require.NoError(t, err)
		if !ok {
			return keys
		}
		keys = append(keys, string(e.Key))
	}
}

func TestStreamOverSpans(t *testing.T) {
	store := testStore(t)
	pairs := map[string]string{"qz": "before", "s": "behind", "sa": "behind"}
	for _, k := range strings.Fields("a aa b ba c d da e f") {
		pairs["r"+k] = "row " + k
	}
	ctx, tx, end := begin(t, store, pairs)
	defer end()
	for _, c := range []struct {
		name  string
		spans Spans
		want  string // forwards
	}{
		{"all", spans("", ""), "a aa b ba c d da e f"},
		{"one", spans("aa", "c"), "aa b ba"},
		{"open at one side", spans("da", ""), "da e f"},
		{"none", spans(), ""},
		{"an empty one", spans("b", "b"), ""},
		{"one between keys", spans("ab", "ac"), ""},
		{"several", spans("a", "b", "c", "d", "e", "f"), "a aa c e"},
		{"neighbours", spans("a", "b", "b", "c", "c", "d"), "a aa b ba c"},
		{"several that end at keys", spans("aa", "b", "ba", "c", "d", "da"), "aa ba d"},
		{"several with nothing in them", spans("", "a", "ab", "ac", "b", "ba", "bb", "bc", "bd", "be", "d", "da", "x", ""), "b d"},
		{"several of one key", spans("b", "b\x00", "c", "c\x00", "d", "d\x00"), "b c d"},
	} {
		for _, reverse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reverse %v", c.name, reverse), func(t *testing.T) {
				s := openStream(ctx, t, tx, &Plan{Layout: &testLayout, Spans: c.spans, Reverse: reverse})
				defer s.Close()
				want := strings.Fields(c.want)
				if reverse {
					slices.Reverse(want)
				}
				require.Equal(t, want, pull(ctx, t, s))
				_, ok, err := s.Next(ctx)
				require.NoError(t, err)
				require.False(t, ok, "the end is the end")
			})
		}
	}
}

func TestStreamSeek(t *testing.T) {
	store := testStore(t)
	pairs := map[string]string{}
	for _, k := range strings.Fields("a b c d e f g") {
		pairs["r"+k] = "row"
	}
	ctx, tx, end := begin(t, store, pairs)
	defer end()
	// A step is a key to seek, or "" for Next, and what that gives, "" for the end.
	for _, c := range []struct {
		name    string
		spans   Spans
		reverse bool
		steps   [][2]string
	}{
		{"forwards", spans("b", "f"), false, [][2]string{{"a", "b"}, {"", "c"}, {"d", "d"}, {"", "e"}, {"", ""}, {"b", ""}}},
		{"to where it is", spans("", ""), false, [][2]string{{"c", "c"}, {"c", "c"}, {"", "d"}}},
		{"not back", spans("", ""), false, [][2]string{{"e", "e"}, {"a", "e"}, {"", "f"}}},
		{"between keys", spans("", ""), false, [][2]string{{"cc", "d"}, {"", "e"}}},
		{"over a gap", spans("a", "b", "e", "g"), false, [][2]string{{"", "a"}, {"c", "e"}, {"", "f"}, {"", ""}}},
		{"into a later span", spans("a", "b", "c", "d", "e", "g"), false, [][2]string{{"f", "f"}, {"", ""}}},
		{"beyond", spans("a", "c"), false, [][2]string{{"c", ""}, {"", ""}, {"a", ""}}},
		{"reverse", spans("b", "f"), true, [][2]string{{"g", "e"}, {"", "d"}, {"c", "c"}, {"", "b"}, {"", ""}, {"e", ""}}},
		{"reverse, not back", spans("", ""), true, [][2]string{{"c", "c"}, {"g", "c"}, {"", "b"}}},
		{"reverse, between keys", spans("", ""), true, [][2]string{{"cc", "c"}, {"", "b"}}},
		{"reverse, over a gap", spans("a", "b", "e", "g"), true, [][2]string{{"", "f"}, {"d", "a"}, {"", ""}}},
		{"reverse, to a span's end", spans("a", "c", "e", "g"), true, [][2]string{{"g", "f"}, {"c", "b"}, {"", "a"}}},
		{"reverse, below", spans("c", "e"), true, [][2]string{{"b", ""}, {"d", ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openStream(ctx, t, tx, &Plan{Layout: &testLayout, Spans: c.spans, Reverse: c.reverse})
			defer s.Close()
			for i, step := range c.steps {
				e, ok, err := Entry{}, false, error(nil)
				if step[0] == "" {
					e, ok, err = s.Next(ctx)
				} else {
					e, ok, err = s.Seek(ctx, []byte(step[0]))
				}
				require.NoError(t, err)
				require.Equal(t, step[1] != "", ok, "step %d", i)
				require.Equal(t, step[1], string(e.Key), "step %d", i)
			}
		})
	}
}

// A Stream sees the transaction's writes as of its opening.
func TestStreamSeesOwnWrites(t *testing.T) {
	store := testStore(t)
	ctx, tx, end := begin(t, store, map[string]string{"ra": "1", "rb": "1", "rc": "1"})
	defer end()
	require.NoError(t, tx.Delete([]byte("rb")))
	require.NoError(t, tx.Set([]byte("rbb"), []byte("own")))
	s := openStream(ctx, t, tx, &Plan{Layout: &testLayout, Spans: spans("", "")})
	defer s.Close()
	e, ok, err := s.Next(ctx)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "a", string(e.Key))
	require.NoError(t, tx.Set([]byte("rab"), []byte("later")))
	require.NoError(t, tx.Delete([]byte("rc")))
	e, _, err = s.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, "bb own", string(e.Key)+" "+string(e.Row))
	require.Equal(t, []string{"c"}, pull(ctx, t, s))
}

func TestStreamSplitsEntries(t *testing.T) {
	store := testStore(t)
	pairs := map[string]string{}
	put(pairs, &testUnique, "p1", "v1")
	put(pairs, &testTagged, "p2", "v1", "v2")
	pairs["x1"+value("v2")+value("p3")] = "\x00" // as a null would have it
	pairs["x2"+value("w")] = "\x00"
	ctx, tx, end := begin(t, store, pairs)
	defer end()
	entries := func(ix *record.Index, s Spans) (all []string, err error) {
		stream := openStream(ctx, t, tx, &Plan{Layout: &testLayout, Index: ix, Spans: s})
		defer stream.Close()
		filled, err := stream.Fill(ctx, nil, 100)
		for _, e := range filled {
			all = append(all, text(t, e.Values)+" "+text(t, e.PK))
			require.True(t, strings.HasPrefix(string(e.Key), string(e.Values)))
		}
		return all, err
	}
	got, err := entries(&testUnique, spans("", ""))
	require.NoError(t, err)
	require.Equal(t, []string{"v1 p1", "v2 p3"}, got)
	got, err = entries(&testTagged, spans("", value("w")))
	require.NoError(t, err)
	require.Equal(t, []string{"v1 p2", "v2 p2"}, got)
	_, err = entries(&testTagged, spans(value("w"), ""))
	require.ErrorIs(t, err, record.ErrCorrupt)
	require.ErrorContains(t, err, `table "tests", index "tagged"`)
}

// What Fill returns stays, and goes on where the call before ended.
func TestStreamFill(t *testing.T) {
	store := testStore(t)
	pairs := map[string]string{}
	for i := range 100 {
		pairs[fmt.Sprintf("r%02d", i)] = strings.Repeat(string(rune('a'+i%26)), 1+i*i)
	}
	ctx, tx, end := begin(t, store, pairs)
	defer end()
	s := openStream(ctx, t, tx, &Plan{Layout: &testLayout, Spans: spans("00", "10", "20", "99")})
	defer s.Close()
	var all []Entry
	var err error
	for _, n := range []int{1, 20, 0, 60, 60} {
		all, err = s.Fill(ctx, all, n)
		require.NoError(t, err)
	}
	require.Len(t, all, 89)
	for _, e := range all {
		require.Equal(t, pairs["r"+string(e.Key)], string(e.Row))
		require.Equal(t, e.Key, e.PK)
	}
}

func drawKey(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.SampledFrom([]rune("ab\x00")), 1, 3, -1).Draw(t, label)
}

func drawSpans(t *rapid.T) Spans {
	bounds := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return drawKey(t, "bound") }), 0, 10).Draw(t, "bounds")
	slices.Sort(bounds) // of equal ones an empty span is made, or neighbours
	bounds = bounds[:len(bounds)/2*2]
	var kept []string
	for i := 0; i < len(bounds); i += 2 {
		if bounds[i] < bounds[i+1] || len(bounds) == 2 {
			kept = append(kept, bounds[i], bounds[i+1])
		}
	}
	if len(kept) > 0 && rapid.Bool().Draw(t, "open start") {
		kept[0] = ""
	}
	if len(kept) > 0 && rapid.Bool().Draw(t, "open end") {
		kept[len(kept)-1] = ""
	}
	return spans(kept...)
}

// A Stream is the keys of its spans, at its position's side, in order, whatever of
// them the transaction wrote itself, and however Next, Seek and Fill take turns.
func TestStreamAgreesWithSlice(t *testing.T) {
	store := testStore(t)
	rapid.Check(t, func(t *rapid.T) {
		stored, model := map[string]string{"q": "1", "s": "1"}, map[string]string{}
		for _, k := range rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return drawKey(t, "key") }), 0, 12).Draw(t, "keys") {
			stored["r"+k], model[k] = "stored", "stored"
		}
		ctx, tx, end := begin(t, store, stored)
		defer end()
		for _, k := range rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return drawKey(t, "key") }), 0, 6).Draw(t, "writes") {
			if rapid.Bool().Draw(t, "delete") {
				require.NoError(t, tx.Delete([]byte("r"+k)))
				delete(model, k)
			} else {
				require.NoError(t, tx.Set([]byte("r"+k), []byte("own")))
				model[k] = "own"
			}
		}
		p := &Plan{Layout: &testLayout, Spans: drawSpans(t), Reverse: rapid.Bool().Draw(t, "reverse")}
		if rapid.Bool().Draw(t, "from") {
			p.From = &Position{Key: []byte(drawKey(t, "position")), Back: rapid.Bool().Draw(t, "back"), Inclusive: rapid.Bool().Draw(t, "inclusive")}
		}
		want := answer(p, model)

		s := openStream(ctx, t, tx, p)
		defer s.Close()
		at := -1 // in want, where the Stream stands
		check := func(e Entry, ok bool, err error) {
			require.NoError(t, err)
			require.Equal(t, at < len(want), ok)
			if ok {
				require.Equal(t, want[at]+" "+model[want[at]], string(e.Key)+" "+string(e.Row))
			}
		}
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				at = min(at+1, len(want))
				check(s.Next(ctx))
			case 1:
				key := drawKey(t, "seek")
				at = max(at, 0)
				for at < len(want) && (want[at] < key) != p.descends() && want[at] != key {
					at++
				}
				check(s.Seek(ctx, []byte(key)))
			case 2:
				n := rapid.IntRange(1, 3).Draw(t, "fill")
				chunk, err := s.Fill(ctx, nil, n)
				require.NoError(t, err)
				for _, e := range chunk {
					at++
					check(e, true, nil)
				}
				if len(chunk) < n {
					at = len(want)
					continue
				}
			}
		}
	})
}

// answer is what a walk of p visits, said without the package's help.
func answer(p *Plan, rows map[string]string) []string {
	reverse := p.Reverse
	if p.From != nil && p.From.Back {
		reverse = !reverse
	}
	keys := []string{}
	for k := range rows {
		in := false
		for _, s := range p.Spans.all {
			in = in || k >= string(s.Start) && (s.End == nil || k < string(s.End))
		}
		if p.From != nil {
			from := string(p.From.Key)
			in = in && (k == from && p.From.Inclusive || !reverse && k > from || reverse && k < from)
		}
		if in {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if reverse {
		slices.Reverse(keys)
	}
	return keys
}
