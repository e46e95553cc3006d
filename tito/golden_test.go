package tito_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

var updateGolden = flag.Bool("update", false, "rewrite testdata/store.golden; existing lines must not change once released")

const goldenPath = "testdata/store.golden"

// goldenStore is what a store holds after some writes at a clock that stands
// still: every key and value, in hexadecimal, with printable bytes beside it.
func goldenStore(t *testing.T) (text string) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		store := memoryStore(t, nil)
		plans := tito.Define(tito.Schema[plan, string]{Table: "plans", ID: planID, Version: 300})
		keyeds := tito.Define(tito.Schema[keyed[point], point]{Table: "points",
			ID: tito.CustomID(func(k *keyed[point]) *point { return &k.ID }, parsePoint)})
		db, err := tito.Open(ctx, store, &tito.Options{Prefix: []byte("app/")}, docs, plans, keyeds)
		require.NoError(t, err)
		nick, score := "al", -1.5
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := docs.Create(ctx, tx, &Doc{ID: "a\x00", Email: "a@x", Nick: &nick, Tags: []string{"go", "db", "go"}, Slots: []int64{-1, 300},
				Kind: "k", Size: 7, Score: &score, Active: true, Code: "c"}, nil)
			require.NoError(t, err)
			_, err = docs.Create(ctx, tx, &Doc{ID: "b", Email: "b@x"}, nil)
			require.NoError(t, err)
			_, err = plans.Create(ctx, tx, &plan{ID: "p"}, nil)
			require.NoError(t, err)
			_, err = keyeds.Create(ctx, tx, &keyed[point]{ID: point{1, 0x200}}, nil)
			require.NoError(t, err)
		})
		wait := make(chan struct{})
		go func() { // moves the bubble's clock by a second
			defer close(wait)
			timeout, cancel := context.WithTimeout(ctx, 1_000_000_000)
			defer cancel()
			<-timeout.Done()
		}()
		<-wait
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := docs.Patch(ctx, tx, "b", func(d *Doc) error { d.Note = "patched"; return nil }, nil)
			require.NoError(t, err)
		})
		text = dumpText(t, store)
	})
	return text
}

func dumpText(t *testing.T, store *kv.Store) string {
	all := dump(t, store, "")
	keys := make([]string, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "% X | % X | %s | %s\n", k, all[k], printable(k), printable(all[k]))
	}
	return b.String()
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '|' {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(s, "."))
}

// TestGolden pins every byte of rows, entries and catalogue.
func TestGolden(t *testing.T) {
	got := goldenStore(t)
	if *updateGolden {
		require.NoError(t, os.WriteFile(goldenPath, []byte(got), 0o644))
	}
	want, err := os.ReadFile(goldenPath)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// TestGoldenIsRead opens a store that holds the bytes of the file, not what is
// written now.
func TestGoldenIsRead(t *testing.T) {
	ctx := context.Background()
	store := memoryStore(t, nil)
	text, err := os.ReadFile(goldenPath)
	require.NoError(t, err)
	require.NoError(t, store.Update(ctx, func(tx *kv.Txn) error {
		for line := range bytes.Lines(text) {
			parts := bytes.Split(line, []byte(" | "))
			var key, value []byte
			for i, into := range []*[]byte{&key, &value} {
				if _, err := fmt.Sscanf(strings.ReplaceAll(string(parts[i]), " ", ""), "%x", into); err != nil {
					return err
				}
			}
			if err := tx.Set(key, value); err != nil {
				return err
			}
		}
		return nil
	}))
	require.Positive(t, checkStore(t, store, "app/", docCheck,
		checkTable("plans", func(*plan) []indexEntry { return nil }),
		checkTable("points", func(*keyed[point]) []indexEntry { return nil })))
	db, err := tito.Open(ctx, store, &tito.Options{Prefix: []byte("app/")}, docs)
	require.NoError(t, err)
	a, err := docs.Where(docByCode.Eq("c", "k")).One(ctx, db)
	require.NoError(t, err)
	require.Equal(t, "a\x00", a.ID)
	require.Equal(t, a.Meta.Created, a.Meta.Updated)
	b, err := docs.Get(ctx, db, "b")
	require.NoError(t, err)
	require.Equal(t, "patched", b.Note)
	require.Equal(t, int64(1), b.Meta.Updated.Unix()-b.Meta.Created.Unix())
}

// TestDocumentedStore holds the examples in docs/format.md to the golden file.
func TestDocumentedStore(t *testing.T) {
	text, err := os.ReadFile(goldenPath)
	require.NoError(t, err)
	var golden string // all bytes of keys and values
	for line := range strings.Lines(string(text)) {
		parts := strings.Split(line, " | ")
		golden += parts[0] + " " + parts[1] + " "
	}
	require.Equal(t, 4, documented(t, "<!-- golden: tito -->", golden))
}

// documented requires that golden has the bytes of each example in
// docs/format.md behind the marker, and returns how many there are.
func documented(t *testing.T, marker, golden string) int {
	doc, err := os.ReadFile("../docs/format.md")
	require.NoError(t, err)
	_, doc, ok := bytes.Cut(doc, []byte(marker))
	require.True(t, ok)
	n := 0
	for ok {
		var part []byte
		part, doc, _ = bytes.Cut(doc, []byte("<!-- /golden -->"))
		var example []string // the bytes of a block, without the words beside them
		for line := range strings.Lines(string(part)) {
			hex, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
			example = append(example, strings.Fields(hex)...)
		}
		require.NotEmpty(t, example)
		require.Contains(t, golden, strings.Join(example, " "))
		n++
		_, doc, ok = bytes.Cut(doc, []byte(marker))
	}
	return n
}
