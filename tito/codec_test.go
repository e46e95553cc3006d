package tito_test

import (
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
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "<a href=\"x\">&</a>", "\u2028\u2029", "\xff\xfe", "\n"}))
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
