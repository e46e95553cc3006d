package tito_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/tito"
)

// raw is a marshaler whose output an encoder has to compact and escape.
type raw string

func (r raw) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]string{"k": string(r)}) }

func TestJSONAppendsWhatMarshalReturns(t *testing.T) {
	type record struct {
		Text  string
		Bytes []byte
		Num   float64
		Own   raw
		Any   map[string]any
		Raw   json.RawMessage
	}
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "<a href=\"x\">&</a>", "\u2028\u2029", "\ufffd", "\n"}))
	rapid.Check(t, func(t *rapid.T) {
		rec := &record{
			Text:  text.Draw(t, "text"),
			Bytes: rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"),
			Num:   rapid.Float64().Draw(t, "number"),
			Own:   raw(text.Draw(t, "own")),
			Any:   map[string]any{text.Draw(t, "key"): text.Draw(t, "value")},
			Raw:   json.RawMessage(" { \"a\" : \"<\" }\n"),
		}
		want, err := json.Marshal(rec)
		require.NoError(t, err)
		before := rapid.SliceOf(rapid.Byte()).Draw(t, "before")
		got, err := tito.JSON().Append(before[:len(before):len(before)], rec)
		require.NoError(t, err)
		require.Equal(t, append(before, want...), got)
	})
}

func TestJSONAppendsNothingOnError(t *testing.T) {
	got, err := tito.JSON().Append([]byte("before"), map[string]any{"fine": 1, "not": func() {}})
	require.Error(t, err)
	require.Equal(t, "before", string(got))
}

type inner struct{ Name string }

type outer struct{ inner }

// badText and badJSON encode themselves as what is not UTF-8, soundText as what is.
type badText struct{}

func (badText) MarshalText() ([]byte, error) { return []byte("\xff\ufffd"), nil }

type soundText string

func (soundText) MarshalText() ([]byte, error) { return []byte("sound"), nil }

type badJSON int

func (*badJSON) MarshalJSON() ([]byte, error) { return []byte("\"\xff\ufffd\""), nil }

// JSON replaces text that is not UTF-8. Such a record is refused, for its
// entries, even its id, would say something else than what is read back.
func TestJSONRefusesWhatItWouldAlter(t *testing.T) {
	db := openDocs(t, memoryStore, nil)
	for name, d := range map[string]*Doc{
		"id":      {ID: "\xff"},
		"field":   {ID: "a", Note: "caf\xe9"},
		"in list": {ID: "a", Tags: []string{"ok", "\xc3"}},
		"both":    {ID: "a", Note: `\ufffd` + "\xff"},
	} {
		err := db.Update(t.Context(), func(tx *tito.Tx) error {
			_, err := docs.Create(t.Context(), tx, d, nil)
			return err
		})
		require.ErrorIs(t, err, tito.ErrInvalid, name)
		var row *tito.RowError
		require.ErrorAs(t, err, &row, name)
	}
	for _, d := range []*Doc{
		{ID: "\ufffd", Email: "1"}, {ID: `\ufffd`, Email: "2"}, {ID: `\\ufffd`, Email: "3"}, {ID: "\x00\u2028<&>", Email: "4"},
	} {
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := docs.Create(ctx, tx, d, nil)
			require.NoError(t, err)
		})
		got, err := docs.Get(t.Context(), db, d.ID)
		require.NoError(t, err)
		require.Equal(t, d.ID, got.ID)
	}
	text := func(s string) *string { return &s }
	for name, bad := range map[string]any{
		"pointer":    &struct{ P **string }{func() **string { p := text("\xff"); return &p }()},
		"map key":    &map[string]int{"\xff": 1},
		"text key":   &map[soundText]string{"\xff": "\ufffd"},
		"map value":  &map[string][]string{"a": {"b", "\xff"}},
		"any":        &struct{ A any }{[1]any{"\xff"}},
		"embedded":   &struct{ outer }{outer{inner{Name: "\xff"}}},
		"text":       &struct{ T badText }{},
		"own JSON":   &struct{ T []badJSON }{[]badJSON{1}},
		"raw":        &struct{ R json.RawMessage }{json.RawMessage("\"\xff\"")},
		"with sound": &struct{ A, B string }{"\ufffd", "\xff"},
	} {
		got, err := tito.JSON().Append([]byte("before"), bad)
		require.ErrorIs(t, err, tito.ErrInvalid, name)
		require.Equal(t, "before", string(got), name)
	}
	for name, good := range map[string]any{
		"not stored": &struct {
			A      string `json:"-"`
			B      string
			hidden string
		}{"\xff", "\ufffd", "\xff"},
		"bytes": &struct {
			A []byte
			B [2]byte
			C string
		}{[]byte("\xff"), [2]byte{0xff}, "\ufffd"},
		"nil": &struct {
			P *string
			A any
			M map[string]string
			T *badText
			C string
		}{C: "\ufffd"},
		"embedded": &struct{ outer }{outer{inner{Name: "\ufffd"}}},
		"escape":   &struct{ A string }{`\ufffd`},
	} {
		_, err := tito.JSON().Append(nil, good)
		require.NoError(t, err, name)
	}
	b, err := tito.JSON().Append([]byte("before"), &struct{ Raw json.RawMessage }{json.RawMessage(`"\ufffd"`)})
	require.NoError(t, err)
	require.Equal(t, `before{"Raw":"\ufffd"}`, string(b))
}
