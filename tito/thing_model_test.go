package tito_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/tito"
)

// The model of the queries' tests: records with an index of every sort, and
// beside each index what it means, said without the package's help.

// text is any bytes; JSON alone would replace those that are not UTF-8.
type text string

func (s text) MarshalJSON() ([]byte, error) { return json.Marshal([]byte(s)) }
func (s *text) UnmarshalJSON(b []byte) error {
	var v []byte
	err := json.Unmarshal(b, &v)
	*s = text(v)
	return err
}

// real is any number, NaN and the infinities included.
type real float64

func (f real) MarshalJSON() ([]byte, error) { return json.Marshal(math.Float64bits(float64(f))) }
func (f *real) UnmarshalJSON(b []byte) error {
	var v uint64
	err := json.Unmarshal(b, &v)
	*f = real(math.Float64frombits(v))
	return err
}

type thing struct {
	ID   text
	Name text // unique
	Nick *text
	Rank int8
	Size *uint64
	Real real
	Day  time.Time
	On   bool
	Tags []text
	Nums []int
}

func (t *thing) String() string {
	b, _ := json.Marshal(t)
	return fmt.Sprintf("%q %s", t.ID, b)
}

var (
	thingName = tito.String(func(t *thing) text { return t.Name })
	thingNick = tito.Opt(func(t *thing) *text { return t.Nick }, tito.String(tito.Self[text]))
	thingRank = tito.Int(func(t *thing) int8 { return t.Rank })
	thingSize = tito.Opt(func(t *thing) *uint64 { return t.Size }, tito.Uint(tito.Self[uint64]))
	thingReal = tito.Float(func(t *thing) real { return t.Real })
	thingDay  = tito.Time(func(t *thing) time.Time { return t.Day })
	thingOn   = tito.Bool(func(t *thing) bool { return t.On })
	thingTags = tito.Strings(func(t *thing) []text { return t.Tags })
	thingNums = tito.Each(func(t *thing) []int { return t.Nums }, tito.Int(tito.Self[int]))

	isOn = func(t *thing) bool { return t.On }

	thingByName     = tito.Index("name", thingName, &tito.IndexOptions[thing]{Unique: true})
	thingByNameDesc = tito.Index("name_desc", thingName.Desc(), &tito.IndexOptions[thing]{Unique: true, When: isOn})
	thingByNick     = tito.Index("nick", thingNick, nil)
	thingByNickDesc = tito.Index("nick_desc", thingNick.Desc(), nil)
	thingByReal     = tito.Index("real", thingReal, nil)
	thingByRealDesc = tito.Index("real_desc", thingReal.Desc(), nil)
	thingByTag      = tito.Index("tag", thingTags, &tito.IndexOptions[thing]{When: isOn})
	thingByTagDesc  = tito.Index("tag_desc", thingTags.Desc(), nil)
	thingByNickName = tito.Index2("nick_name", thingNick, thingName.Desc(), &tito.IndexOptions[thing]{Unique: true})
	thingByTagRank  = tito.Index2("tag_rank", thingTags, thingRank.Desc(), nil)
	thingByRankTag  = tito.Index2("rank_tag", thingRank, thingTags.Desc(), nil)
	thingByTagNum   = tito.Index3("tag_num", thingTags, thingNums.Desc(), thingSize, nil)
	thingByOnSize   = tito.Index3("on_size", thingOn, thingSize.Desc(), thingDay, nil)

	things = tito.Define(tito.Schema[thing, text]{
		Table: "things",
		ID:    tito.StringID(func(t *thing) *text { return &t.ID }),
		Indexes: tito.Indexes(thingByName, thingByNameDesc, thingByNick, thingByNickDesc, thingByReal, thingByRealDesc,
			thingByTag, thingByTagDesc, thingByNickName, thingByTagRank, thingByRankTag, thingByTagNum, thingByOnSize),
	})
)

func ptr[V any](v V) *V { return &v }

// Small domains, so that values meet, and the borders of the encoding in them.
var (
	ids   = []text{"", "0", "1", "a", "a\x00", "a\x00b", "a1", "a10", "b", "z", "\x00", "\xff", "\xff\xff"}[1:]
	texts = []text{"", "\x00", "\x00\x00", "\x00\xff", "a", "a\x00", "a\x00b", "a\xff", "ab", "b", "\xff", "\xff\xff", "\xff\xff\x00"}
	ranks = []int8{-128, -2, -1, 0, 1, 2, 127}
	sizes = []uint64{0, 1, 255, 256, math.MaxInt64, math.MaxUint64}
	reals = []real{real(math.NaN()), real(math.Inf(-1)), -1.5, real(math.Copysign(0, -1)), 0, 1e-300, 2, real(math.Inf(1))}
	nums  = []int{-257, -256, -1, 0, 1, 255, 256}
	days  = []time.Time{{}, time.Unix(0, 0), time.Unix(0, 1), time.Unix(-1, 999999999), time.Date(1066, 10, 14, 0, 0, 0, 0, time.UTC),
		time.Date(2024, 2, 29, 12, 0, 0, 1, time.FixedZone("x", 3600)), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
)

func maybe[V any](t *rapid.T, label string, from []V) *V {
	if rapid.Bool().Draw(t, label+" is null") {
		return nil
	}
	return ptr(rapid.SampledFrom(from).Draw(t, label))
}

func drawThing(t *rapid.T, id text) *thing {
	return &thing{
		ID:   id,
		Name: rapid.SampledFrom(texts).Draw(t, "name") + id, // unique with a few exceptions
		Nick: maybe(t, "nick", texts),
		Rank: rapid.SampledFrom(ranks).Draw(t, "rank"),
		Size: maybe(t, "size", sizes),
		Real: rapid.SampledFrom(reals).Draw(t, "real"),
		Day:  rapid.SampledFrom(days).Draw(t, "day"),
		On:   rapid.Bool().Draw(t, "on"),
		Tags: rapid.SliceOfN(rapid.SampledFrom(texts), 0, 4).Draw(t, "tags"),
		Nums: rapid.SliceOfN(rapid.SampledFrom(nums), 0, 3).Draw(t, "nums"),
	}
}

// null is the value of a nullable field that has none.
type null struct{}

// rank of kinds of values within one field: null, then values.
func compareValues(a, b any) int {
	if a == (null{}) || b == (null{}) {
		return cmp.Compare(b2i(a != null{}), b2i(b != null{}))
	}
	switch a := a.(type) {
	case text:
		return strings.Compare(string(a), string(b.(text)))
	case int8:
		return cmp.Compare(a, b.(int8))
	case int:
		return cmp.Compare(a, b.(int))
	case uint64:
		return cmp.Compare(a, b.(uint64))
	case real:
		return cmp.Compare(a, b.(real)) // NaN first and equal to itself, -0 equal to 0
	case time.Time:
		return a.Compare(b.(time.Time))
	case bool:
		return cmp.Compare(b2i(a), b2i(b.(bool)))
	}
	panic(fmt.Sprintf("%T", a))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func orNull[V any](p *V) any {
	if p == nil {
		return null{}
	}
	return *p
}

func anys[V any](s []V) []any {
	all := make([]any, len(s))
	for i, v := range s {
		all[i] = v
	}
	return all
}

// tuple is the values of one entry; the rows themselves have an empty one.
type tuple []any

// predicate tells whether an entry meets a condition.
type predicate func(e tuple) bool

// thingIndex is the meaning of one index.
type thingIndex struct {
	name   string
	when   func(*thing) bool
	values func(*thing) [][]any // of each field, all that the record has
	desc   []bool
	draw   func(t *rapid.T) (tito.Condition[thing], predicate)
}

// entries returns the distinct entries of a record, ascending.
func (ix *thingIndex) entries(rec *thing) []tuple {
	if ix.when != nil && !ix.when(rec) {
		return nil
	}
	all := []tuple{{}}
	for _, values := range ix.values(rec) {
		var longer []tuple
		for _, e := range all {
			for _, v := range values {
				longer = append(longer, append(slices.Clip(e), v))
			}
		}
		all = longer
	}
	slices.SortFunc(all, ix.compare)
	return slices.CompactFunc(all, func(a, b tuple) bool { return ix.compare(a, b) == 0 })
}

func (ix *thingIndex) compare(a, b tuple) int {
	for i := range a {
		c := compareValues(a[i], b[i])
		if ix.desc[i] {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// found is a record at the entry at which a query yields it.
type found struct {
	rec   *thing
	entry tuple
}

// find is the reference: the records of which an entry matches, each at its
// first one, in order.
func (ix *thingIndex) find(rows map[text]*thing, matches predicate, reverse bool) []found {
	var all []found
	for _, rec := range rows {
		entries := ix.entries(rec)
		if reverse {
			slices.Reverse(entries)
		}
		if i := slices.IndexFunc(entries, matches); i >= 0 {
			all = append(all, found{rec, entries[i]})
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		c := ix.comparePlaces(a, b)
		if reverse {
			c = -c
		}
		return c
	})
	return all
}

func (ix *thingIndex) comparePlaces(a, b found) int {
	return cmp.Or(ix.compare(a.entry, b.entry), bytes.Compare([]byte(a.rec.ID), []byte(b.rec.ID)))
}

// drawColumn draws a condition on the field at position at, of which entries
// hold values of type V, given that the fields before it match lead.
func drawColumn[V any](t *rapid.T, b tito.Column[thing, V], at int, lead predicate, from []V, nullable bool) (tito.Condition[thing], predicate) {
	value := func(label string) V { return rapid.SampledFrom(from).Draw(t, label) }
	on := func(p func(v any) bool) predicate {
		return func(e tuple) bool { return lead(e) && p(e[at]) }
	}
	// comparable tells whether ranges can have v.
	comparable := func(v any) bool {
		f, isReal := v.(real)
		return v != null{} && !(isReal && math.IsNaN(float64(f)))
	}
	forms := []string{"all", "Eq", "In", "range", "range", "Null", "HasPrefix"}
	_, isText := any(b).(tito.Column[thing, text])
	form := rapid.SampledFrom(slices.DeleteFunc(forms, func(f string) bool {
		return f == "Null" && !nullable || f == "HasPrefix" && !isText
	})).Draw(t, "form")
	switch form {
	case "all":
		return b, lead
	case "Eq":
		v := value("Eq")
		return b.Eq(v), on(func(x any) bool { return compareValues(x, v) == 0 })
	case "In":
		in := rapid.SliceOfN(rapid.SampledFrom(from), 0, 4).Draw(t, "In")
		return b.In(in...), on(func(x any) bool {
			return slices.ContainsFunc(in, func(v V) bool { return compareValues(x, v) == 0 })
		})
	case "Null":
		return b.Null(), on(func(x any) bool { return x == null{} })
	case "HasPrefix":
		prefix := rapid.SampledFrom(texts).Draw(t, "prefix")
		return any(b).(tito.Column[thing, text]).HasPrefix(prefix), on(func(x any) bool {
			s, ok := x.(text)
			return ok && strings.HasPrefix(string(s), string(prefix))
		})
	}
	var r tito.Interval[thing, V]
	meets := comparable
	for i := range rapid.IntRange(1, 3).Draw(t, "bounds") {
		v, before := value("bound"), meets
		var than func(c int) bool
		var from interface {
			Ge(V) tito.Interval[thing, V]
			Gt(V) tito.Interval[thing, V]
			Le(V) tito.Interval[thing, V]
			Lt(V) tito.Interval[thing, V]
		} = b
		if i > 0 {
			from = r
		}
		switch rapid.SampledFrom([]string{"Ge", "Gt", "Le", "Lt"}).Draw(t, "relation") {
		case "Ge":
			r, than = from.Ge(v), func(c int) bool { return c >= 0 }
		case "Gt":
			r, than = from.Gt(v), func(c int) bool { return c > 0 }
		case "Le":
			r, than = from.Le(v), func(c int) bool { return c <= 0 }
		case "Lt":
			r, than = from.Lt(v), func(c int) bool { return c < 0 }
		}
		meets = func(x any) bool { return before(x) && comparable(v) && than(compareValues(x, v)) }
	}
	return r, on(meets)
}

func anyEntry(tuple) bool { return true }

func fixed(v any) predicate {
	return func(e tuple) bool { return compareValues(e[0], v) == 0 }
}

func fixed2(v, w any) predicate {
	return func(e tuple) bool { return fixed(v)(e) && compareValues(e[1], w) == 0 }
}

// thingIndexes are the meanings of all indexes, by1 those over one field.
func thingIndexes() []*thingIndex {
	name := func(rec *thing) []any { return []any{rec.Name} }
	nick := func(rec *thing) []any { return []any{orNull(rec.Nick)} }
	rank := func(rec *thing) []any { return []any{rec.Rank} }
	size := func(rec *thing) []any { return []any{orNull(rec.Size)} }
	numbers := func(rec *thing) []any { return anys(rec.Nums) }
	tags := func(rec *thing) []any { return anys(rec.Tags) }
	reality := func(rec *thing) []any { return []any{rec.Real} }
	var names []text
	for _, id := range ids[:6] {
		names = append(names, id, "a"+id)
	}
	at := func(fields ...func(*thing) []any) func(*thing) [][]any {
		return func(rec *thing) [][]any {
			var all [][]any
			for _, f := range fields {
				all = append(all, f(rec))
			}
			return all
		}
	}
	return []*thingIndex{
		{"name", nil, at(name), []bool{false}, draw1(thingByName, names, false)},
		{"name_desc", isOn, at(name), []bool{true}, draw1(thingByNameDesc, names, false)},
		{"nick", nil, at(nick), []bool{false}, draw1(thingByNick, texts, true)},
		{"nick_desc", nil, at(nick), []bool{true}, draw1(thingByNickDesc, texts, true)},
		{"real", nil, at(reality), []bool{false}, draw1(thingByReal, reals, false)},
		{"real_desc", nil, at(reality), []bool{true}, draw1(thingByRealDesc, reals, false)},
		{"tag", isOn, at(tags), []bool{false}, draw1(thingByTag, texts, false)},
		{"tag_desc", nil, at(tags), []bool{true}, draw1(thingByTagDesc, texts, false)},
		{"nick_name", nil, at(nick, name), []bool{false, true}, draw2(thingByNickName, texts, names, true, false)},
		{"tag_rank", nil, at(tags, rank), []bool{false, true}, draw2(thingByTagRank, texts, ranks, false, false)},
		{"rank_tag", nil, at(rank, tags), []bool{false, true}, draw2(thingByRankTag, ranks, texts, false, false)},
		{"tag_num", nil, at(tags, numbers, size), []bool{false, true, false}, draw3(thingByTagNum, texts, nums, sizes, false, false, true)},
		{
			"on_size", nil, at(func(rec *thing) []any { return []any{rec.On} }, size, func(rec *thing) []any { return []any{rec.Day} }),
			[]bool{false, true, false}, draw3(thingByOnSize, []bool{false, true}, sizes, days, false, true, false),
		},
	}
}

type drawCondition = func(t *rapid.T) (tito.Condition[thing], predicate)

func draw1[A any](by tito.By1[thing, A], as []A, nullable bool) drawCondition {
	return func(t *rapid.T) (tito.Condition[thing], predicate) {
		return drawColumn(t, by.Column, 0, anyEntry, as, nullable)
	}
}

func draw2[A, B any](by tito.By2[thing, A, B], as []A, bs []B, aNull, bNull bool) drawCondition {
	return func(t *rapid.T) (tito.Condition[thing], predicate) {
		if rapid.Bool().Draw(t, "first field") {
			return drawColumn(t, by.Column, 0, anyEntry, as, aNull)
		}
		a := rapid.SampledFrom(as).Draw(t, "at")
		return drawColumn(t, by.At(a), 1, fixed(a), bs, bNull)
	}
}

func draw3[A, B, C any](by tito.By3[thing, A, B, C], as []A, bs []B, cs []C, aNull, bNull, cNull bool) drawCondition {
	return func(t *rapid.T) (tito.Condition[thing], predicate) {
		n := rapid.IntRange(0, 2).Draw(t, "fixed fields")
		if n == 0 {
			return drawColumn(t, by.Column, 0, anyEntry, as, aNull)
		}
		a := rapid.SampledFrom(as).Draw(t, "at")
		if n == 1 {
			return drawColumn(t, by.At(a), 1, fixed(a), bs, bNull)
		}
		b := rapid.SampledFrom(bs).Draw(t, "at 2")
		return drawColumn(t, by.At2(a, b), 2, fixed2(a, b), cs, cNull)
	}
}
