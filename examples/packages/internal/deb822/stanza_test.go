package deb822_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/examples/packages/internal/deb822"
)

func TestStanza(t *testing.T) {
	s := first(t, "# head\n\nPackage: tito\nTag: a,\n b\nEmpty:\n")

	require.Equal(t, 3, s.Line())
	for _, name := range []string{"Package", "package", "PACKAGE"} {
		require.Equal(t, "tito", s.Get(name))
		require.Equal(t, []byte("tito"), s.Bytes(name))
		require.Equal(t, 3, s.FieldLine(name))
	}
	require.Equal(t, "a,\nb", s.Get("tag"))
	require.Equal(t, 6, s.FieldLine("empty"))

	require.NotNil(t, s.Bytes("Empty"), "present and empty")
	require.Empty(t, s.Bytes("Empty"))
	require.Nil(t, s.Bytes("Absent"))
	for _, absent := range []string{"Absent", "", "Packag", "Packages", "Pac\u212Aage", "Pac\x4bage\x00"} {
		require.Empty(t, s.Get(absent))
		require.Zero(t, s.FieldLine(absent))
	}
}

func TestStanzaFieldsStops(t *testing.T) {
	n := 0
	for f := range first(t, "A: b\nC: d\n").Fields() {
		require.Equal(t, "A", string(f.Name))
		n++
		break
	}
	require.Equal(t, 1, n)
}

// A copy outlives the stanza; an append to a slice leaves its neighbours alone.
func TestStanzaLifetime(t *testing.T) {
	r := deb822.NewReader(strings.NewReader("A: one\nB: two\n\nA: 333\nB: 444\n"))
	s, err := r.Next()
	require.NoError(t, err)
	_ = append(s.Bytes("A"), "XXX"...)
	for f := range s.Fields() {
		_ = append(f.Name, "XXX"...)
		_ = append(f.Value, "XXX"...)
	}
	a, b := s.Get("A"), s.Get("B")
	require.Equal(t, "two", b)

	s, err = r.Next()
	require.NoError(t, err)
	require.Equal(t, "one", a)
	require.Equal(t, "333", s.Get("A"))
}

func TestStanzaUnterminated(t *testing.T) {
	for text, want := range map[string][]bool{
		"A: b\n":                 {true},
		"A: b\n c\n":             {true},
		"A: b\n# end\n":          {true},
		"A: b\n\n":               {false},
		"A: b\n \n":              {false},
		"A: b\n\nA: c\n":         {false, true},
		"A: b\n\n\nA: c\n\n\n\n": {false, false},
	} {
		r := deb822.NewReader(strings.NewReader(text))
		for _, unterminated := range want {
			s, err := r.Next()
			require.NoError(t, err)
			require.Equal(t, unterminated, s.Unterminated(), "%q", text)
		}
	}
}

func TestStanzaSize(t *testing.T) {
	require.Equal(t, len("Ab"+"cd\ne"+"F"), first(t, "Ab:  cd \n e\nF:\n").Size())
}
