package tito_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

// Doc is a record with an index of every sort.
type Doc struct {
	ID     string
	Email  string
	Nick   *string
	Tags   []string
	Slots  []int64
	Kind   string
	Size   int64
	Score  *float64
	Active bool
	Code   string
	Note   string // in no index

	Meta tito.Meta `json:"-"`
}

const docT tito.Name[Doc, string] = "docs"

var (
	docKind = tito.String(func(d *Doc) string { return d.Kind })
	docSize = tito.Int(func(d *Doc) int64 { return d.Size })
	docTags = tito.Strings(func(d *Doc) []string { return d.Tags })

	docByEmail = tito.Index("email", tito.String(func(d *Doc) string { return d.Email }), &tito.IndexOptions[Doc]{Unique: true})
	docByNick  = tito.Index("nick", tito.Opt(func(d *Doc) *string { return d.Nick }, tito.String(tito.Self[string])),
		&tito.IndexOptions[Doc]{Unique: true})
	docByTag  = tito.Index("tag", docTags, nil)
	docBySlot = tito.Index("slot", tito.Each(func(d *Doc) []int64 { return d.Slots }, tito.Int(tito.Self[int64])),
		&tito.IndexOptions[Doc]{Unique: true})
	docByKind  = tito.Index2("kind", docKind, docSize.Desc(), nil)
	docByScore = tito.Index("score", tito.Opt(func(d *Doc) *float64 { return d.Score }, tito.Float(tito.Self[float64])).Desc(), nil)
	docActive  = tito.Index("active", docSize, &tito.IndexOptions[Doc]{When: func(d *Doc) bool { return d.Active }})
	docByCode  = tito.Index2("code", tito.String(func(d *Doc) string { return d.Code }), docKind.Desc(),
		&tito.IndexOptions[Doc]{Unique: true, When: func(d *Doc) bool { return d.Code != "" }})
	docByAll = tito.Index3("all", docTags.Desc(), docKind, tito.Each(func(d *Doc) []int64 { return d.Slots }, tito.Int(tito.Self[int64])), nil)

	docs = tito.Define(tito.Schema[Doc, string]{
		Table:   docT,
		ID:      tito.StringID(func(d *Doc) *string { return &d.ID }),
		Indexes: tito.Indexes(docByEmail, docByNick, docByTag, docBySlot, docByKind, docByScore, docActive, docByCode, docByAll),
		Meta:    func(d *Doc) *tito.Meta { return &d.Meta },
	})

	docCheck = checkTable("docs", docEntries)
)

// docEntries says, without the package's help, which entries a Doc should have.
func docEntries(d *Doc) []indexEntry {
	str := func(s string) string { return string(keyenc.AppendString(nil, s)) }
	num := func(n int64) string { return string(keyenc.AppendInt(nil, n)) }
	desc := func(s string) string {
		b := []byte(s)
		for i := range b {
			b[i] ^= 0xFF
		}
		return string(b)
	}
	all := []indexEntry{
		{"email", str(d.Email), true},
		{"kind", str(d.Kind) + desc(num(d.Size)), false},
	}
	if d.Nick == nil {
		all = append(all, indexEntry{"nick", "\x08", false})
	} else {
		all = append(all, indexEntry{"nick", str(*d.Nick), true})
	}
	if d.Score == nil {
		all = append(all, indexEntry{"score", "\xf7", false})
	} else {
		all = append(all, indexEntry{"score", desc(string(keyenc.AppendFloat(nil, *d.Score))), false})
	}
	for _, s := range d.Slots {
		all = append(all, indexEntry{"slot", num(s), true})
	}
	for _, tag := range d.Tags {
		all = append(all, indexEntry{"tag", str(tag), false})
		for _, s := range d.Slots {
			all = append(all, indexEntry{"all", desc(str(tag)) + str(d.Kind) + num(s), false})
		}
	}
	if d.Active {
		all = append(all, indexEntry{"active", num(d.Size), false})
	}
	if d.Code != "" {
		all = append(all, indexEntry{"code", str(d.Code) + desc(str(d.Kind)), true})
	}
	return all
}

// openDocs opens a database with the table of docs in an empty store, which is
// checked at the end of the test.
func openDocs(t testing.TB, open openStore, o *kv.Options) *tito.DB {
	t.Helper()
	store := open(t, o)
	db, err := tito.Open(context.Background(), store, nil, docs)
	require.NoError(t, err)
	t.Cleanup(func() { checkStore(t, store, "", docCheck) })
	return db
}

// update commits fn, or ends the test.
func update(t testing.TB, db *tito.DB, fn func(ctx context.Context, tx *tito.Tx)) {
	t.Helper()
	ctx := context.Background()
	require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
		fn(ctx, tx)
		return nil
	}))
}
