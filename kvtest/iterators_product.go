package kvtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
)

func productCases() []testCase {
	return []testCase{
		{name: "scans: every combination", run: scanProduct},
		{name: "seeks: every combination", run: seekProduct},
		{name: "page borders", run: pageBorders},
	}
}

// sampleStride says that a remote driver runs every sampleStride-th combination. It is
// a prime, so that no factor of the product is always the same.
const sampleStride = 97

// overlayKeys get each combination of own changes; their neighbours stand for
// themselves. overlayKeys[1] is not in the snapshot, the others are.
var overlayKeys = [...]string{"b", "b\x00", "\xff"} // immutable

// bound points: absent, below, on and between the keys, and above all.
var bounds = [...][]byte{nil, {}, []byte("b"), []byte("b\x00"), []byte("c"), {0xFF}, {0xFF, 0}} // immutable

// model is what a transaction sees: keys in order, and their values.
type model struct {
	keys   []string
	values map[string]string
}

// sampler numbers the members of a product and picks those that the driver has
// to run.
type sampler struct{ stride, n int }

func (f *fixture) sampler() *sampler {
	if f.h.Remote {
		return &sampler{stride: sampleStride}
	}
	return &sampler{stride: 1}
}

func (s *sampler) skip() bool {
	s.n++
	return s.n%s.stride != 0
}

// overlays calls do with a transaction for each combination of own changes
// (none, set, delete, lock) of the overlay keys, and with what it then sees.
func (f *fixture) overlays(do func(tx *kv.Txn, m model)) {
	base := map[string]string{"b": "1", "b1": "2", "c": "3", "\xff": "4"}
	seed := f.begin()
	for k, v := range base {
		f.ok(seed.Set([]byte(k), []byte(v)))
	}
	f.commit(seed)
	const kinds = 4
	for combination := range kinds * kinds * kinds {
		tx := f.begin()
		m := model{values: map[string]string{}}
		for k, v := range base {
			m.values[k] = v
		}
		for i, rest := 0, combination; i < len(overlayKeys); i, rest = i+1, rest/kinds {
			k := overlayKeys[i]
			switch rest % kinds {
			case 1:
				f.ok(tx.Set([]byte(k), []byte("own")))
				m.values[k] = "own"
			case 2:
				f.ok(tx.Delete([]byte(k)))
				delete(m.values, k)
			case 3:
				f.ok(tx.Lock(f.ctx, []byte(k)))
			}
		}
		for k := range m.values {
			m.keys = append(m.keys, k)
		}
		slices.Sort(m.keys)
		do(tx, m)
		tx.Rollback()
	}
}

// in returns the model's keys within r, in the order of a cursor.
func (m model) in(r kv.Range, reverse bool) []string {
	var in []string
	for _, k := range m.keys {
		if k >= string(r.Start) && (r.End == nil || k < string(r.End)) {
			in = append(in, k)
		}
	}
	if reverse {
		slices.Reverse(in)
	}
	return in
}

func (m model) render(ks []string, keysOnly bool) string {
	var b strings.Builder
	for _, k := range ks {
		b.WriteString(k)
		if !keysOnly {
			b.WriteString("=" + m.values[k])
		}
		b.WriteByte(' ')
	}
	return b.String()
}

func scanProduct(f *fixture) {
	s := f.sampler()
	f.overlays(func(tx *kv.Txn, m model) {
		for _, start := range bounds {
			for _, end := range bounds {
				for options := range 2 * 2 * 3 * 3 {
					if s.skip() {
						continue
					}
					o := kv.ScanOptions{
						Reverse:  options%2 == 1,
						KeysOnly: options/2%2 == 1,
						Limit:    options / 4 % 3,
						PageSize: options / 12,
					}
					r := kv.Range{Start: start, End: end}
					want := m.in(r, o.Reverse)
					if o.Limit > 0 && len(want) > o.Limit {
						want = want[:o.Limit]
					}
					got := f.render(tx, r, o)
					if want := m.render(want, o.KeysOnly); got != want {
						require.Failf(f, "wrong scan", "%q to %q, %+v\nwant %q\ngot  %q\nof %v", start, end, o, want, got, m.values)
					}
				}
			}
		}
	})
}

// render scans and writes what it gets as model.render does.
func (f *fixture) render(tx *kv.Txn, r kv.Range, o kv.ScanOptions) string {
	var b strings.Builder
	for p, err := range tx.Scan(f.ctx, r, &o) {
		f.ok(err)
		b.Write(p.Key)
		if p.Value != nil {
			b.WriteString("=" + string(p.Value))
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// seekProduct seeks from each kind of place to each point, and then walks on.
func seekProduct(f *fixture) {
	narrow := [...][]byte{nil, []byte("b"), []byte("b\x00"), []byte("c\x00"), {0xFF}}
	points := [...]string{"", "a", "b", "b\x00", "b0", "c", "\xff", "\xff\xff"}
	places := [...]string{"fresh", "on a pair", "further on", "at the end"}
	s := f.sampler()
	f.overlays(func(tx *kv.Txn, m model) {
		for _, start := range narrow {
			for _, end := range narrow {
				for _, to := range points {
					for options := range 2 * len(places) * 2 {
						if s.skip() {
							continue
						}
						o := kv.ScanOptions{Reverse: options%2 == 1, Limit: options / 2 % 2 * 3}
						place := places[options/4]
						r := kv.Range{Start: start, End: end}
						want, got := m.seek(r, o, to, place), f.seek(tx, r, o, to, place)
						if got != want {
							require.Failf(f, "wrong seek", "%s, %q to %q, seek %q, %+v\nwant %q\ngot  %q\nof %v", place, start, end, to, o, want, got, m.values)
						}
					}
				}
			}
		}
	})
}

// seek returns the pairs from the place and from the seek on.
func (f *fixture) seek(tx *kv.Txn, r kv.Range, o kv.ScanOptions, to, place string) string {
	c, err := tx.Cursor(f.ctx, r, &o)
	f.ok(err)
	defer c.Close()
	switch place {
	case "on a pair":
		c.Next(f.ctx)
	case "further on":
		c.Next(f.ctx)
		c.Next(f.ctx)
	case "at the end":
		for c.Next(f.ctx) {
			continue
		}
	}
	var b strings.Builder
	for ok := c.Seek(f.ctx, []byte(to)); ok; ok = c.Next(f.ctx) {
		b.WriteString(string(c.Key()) + "=" + string(c.Value()) + " ")
	}
	require.False(f, c.Next(f.ctx), "a cursor stays at its end")
	f.ok(c.Err())
	return b.String()
}

func (m model) seek(r kv.Range, o kv.ScanOptions, to, place string) string {
	in := m.in(r, o.Reverse)
	used := 0 // of Limit
	switch place {
	case "on a pair":
		used = min(1, len(in))
	case "further on":
		used = min(2, len(in))
	case "at the end":
		used = len(in)
	}
	at := slices.IndexFunc(in, func(k string) bool {
		return k == to || (k > to) != o.Reverse
	})
	if at < 0 {
		return ""
	}
	in = in[at:]
	if o.Limit > 0 {
		in = in[:min(len(in), max(0, o.Limit-used))]
	}
	return m.render(in, false)
}

// pageBorders walks ranges of every length around multiples of the page size,
// with own changes on both sides of the borders.
func pageBorders(f *fixture) {
	const n = 10
	name := func(i int) string { return fmt.Sprintf("%02d", i) }
	tx := f.begin()
	for i := range n {
		f.set(tx, name(2*i), "base")
	}
	f.commit(tx)
	s := f.sampler()
	for change := -1; change < 2*n; change++ { // one key set, deleted or, at -1, none
		tx := f.begin()
		if change >= 0 && change%4 == 2 {
			f.del(tx, name(change))
		} else if change >= 0 {
			f.set(tx, name(change), "own")
		}
		all := f.scan(tx)
		for page := 1; page <= n+1; page++ {
			for limit := range n + 2 {
				for _, reverse := range []bool{false, true} {
					if s.skip() {
						continue
					}
					want := slices.Clone(all)
					if reverse {
						slices.Reverse(want)
					}
					if limit > 0 {
						want = want[:min(limit, len(want))]
					}
					got := []string{}
					for p, err := range tx.Scan(f.ctx, kv.Range{}, &kv.ScanOptions{Reverse: reverse, Limit: limit, PageSize: page}) {
						f.ok(err)
						got = append(got, unmark(p.Key)+"="+unmark(p.Value))
					}
					if !slices.Equal(want, got) {
						require.Equal(f, want, got, "page %d, limit %d, reverse %t", page, limit, reverse)
					}
				}
			}
		}
		tx.Rollback()
	}
}
