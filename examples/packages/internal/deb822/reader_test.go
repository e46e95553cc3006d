package deb822_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/examples/packages/internal/deb822"
)

// field is a copy of a deb822.Field.
type field struct {
	name, value string
	line        int
}

// readAll returns copies of all stanzas of r, and the error that ended it if
// that is not io.EOF.
func readAll(r io.Reader) ([][]field, error) {
	var all [][]field
	in := deb822.NewReader(r)
	for {
		s, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, fieldsOf(s))
	}
}

// first returns the first stanza of text.
func first(t require.TestingT, text string) *deb822.Stanza {
	s, err := deb822.NewReader(strings.NewReader(text)).Next()
	require.NoError(t, err)
	return s
}

func TestNext(t *testing.T) {
	tests := map[string]struct {
		in   string
		want [][]field
	}{
		"empty":                {"", nil},
		"empty lines only":     {"\n\r\n \t\n", nil},
		"comments only":        {"# a\n\n#b: c\n", nil},
		"one field":            {"A: b\n", [][]field{{{"A", "b", 1}}}},
		"no blank":             {"A:b\n", [][]field{{{"A", "b", 1}}}},
		"blanks around":        {"A: \t b c \t\n", [][]field{{{"A", "b c", 1}}}},
		"empty value":          {"A:\nB: \n", [][]field{{{"A", "", 1}, {"B", "", 2}}}},
		"colon in value":       {"A: b: c\n", [][]field{{{"A", "b: c", 1}}}},
		"comment sign inside":  {"A#: b#c\n #d\n", [][]field{{{"A#", "b#c\n#d", 1}}}},
		"hyphen inside":        {"A-: b\n", [][]field{{{"A-", "b", 1}}}},
		"odd name":             {"!~_/9: b\n", [][]field{{{"!~_/9", "b", 1}}}},
		"continued":            {"A: b\n c\n\td\n", [][]field{{{"A", "b\nc\nd", 1}}}},
		"continued, indented":  {"A: b\n   c \n", [][]field{{{"A", "b\n  c", 1}}}},
		"continued from empty": {"A:\n b\nC: d\n", [][]field{{{"A", "\nb", 1}, {"C", "d", 3}}}},
		"comment inside":       {"A: b\n#x\n c\n# y\nB: d\n", [][]field{{{"A", "b\nc", 1}, {"B", "d", 5}}}},
		"several stanzas":      {"\nA: b\n\n\nA: c\n\n", [][]field{{{"A", "b", 2}}, {{"A", "c", 5}}}},
		"blanks separate":      {"A: b\n \t\nA: c\n", [][]field{{{"A", "b", 1}}, {{"A", "c", 3}}}},
		"comment first":        {"# x\nA: b\n", [][]field{{{"A", "b", 2}}}},
		"CRLF":                 {"A: b \r\n c\r\n\r\nB: d\r\n", [][]field{{{"A", "b\nc", 1}}, {{"B", "d", 4}}}},
		"CR inside":            {"A: b\rc\r\r\n", [][]field{{{"A", "b\rc\r", 1}}}},
		"UTF-8":                {"A: Zoë \u00a0\n", [][]field{{{"A", "Zoë \u00a0", 1}}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(strings.NewReader(test.in))
			require.NoError(t, err)
			require.Equal(t, test.want, got)

			got, err = readAll(iotest.DataErrReader(iotest.OneByteReader(strings.NewReader(test.in))))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestNextMalformed(t *testing.T) {
	fields := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "F%d: x\n", i)
		}
		return b.String()
	}
	long := " " + strings.Repeat("x", deb822.MaxLine-1) + "\n"

	const (
		noColon   = "field without a colon"
		emptyName = "empty field name"
		badName   = "field name with a blank or another invalid character"
		hyphen    = "field name that begins with a hyphen"
		orphan    = "continuation line before any field"
		duplicate = "duplicate field"
		nul       = "NUL byte"
		notUTF8   = "invalid UTF-8"
		truncated = "unexpected end of file"
		longLine  = "line over 1048576 bytes"
	)
	tests := map[string]struct {
		in      string
		stanzas int // complete ones before the error
		line    int
		msg     string
	}{
		"no colon":                {"A: b\nfoo\n", 0, 2, noColon},
		"no colon, blanks":        {"A: b\n\nfoo bar\n", 1, 3, noColon},
		"no colon, CR only":       {"A: b\n\rfoo\n", 0, 2, noColon},
		"empty name":              {"A: b\n: c\n", 0, 2, emptyName},
		"blank in name":           {"A: b\nfoo bar: c\n", 0, 2, badName},
		"blank behind name":       {"A : b\n", 0, 1, badName},
		"tab in name":             {"A\tb: c\n", 0, 1, badName},
		"control in name":         {"A\x01: b\n", 0, 1, badName},
		"DEL in name":             {"A\x7f: b\n", 0, 1, badName},
		"letter beyond ASCII":     {"Ä: b\n", 0, 1, badName},
		"byte order mark":         {"\ufeffA: b\n", 0, 1, badName},
		"leading hyphen":          {"A: b\n-B: c\n", 0, 2, hyphen},
		"signature":               {"-----BEGIN PGP SIGNED MESSAGE-----\n", 0, 1, noColon},
		"continuation first":      {" foo\n", 0, 1, orphan},
		"continuation, stanza 2":  {"A: b\n\n# x\n foo\n", 1, 4, orphan},
		"duplicate":               {"A: b\nB: c\n d\nA: e\n", 0, 4, duplicate},
		"duplicate, other case":   {"Foo: b\nfOO: c\n", 0, 2, duplicate},
		"duplicate, empty":        {"Foo:\nFoo:\n", 0, 2, duplicate},
		"NUL in value":            {"A: b\nB: \x00\n", 0, 2, nul},
		"NUL in name":             {"A\x00: b\n", 0, 1, nul},
		"NUL in continuation":     {"A: b\n \x00\n", 0, 2, nul},
		"NUL in comment":          {"A: b\n#\x00\n", 0, 2, nul},
		"NULs to the end":         {"A: b\n\n\x00\x00\x00\n", 1, 3, nul},
		"invalid UTF-8":           {"A: b\nB: Zo\xeb\n", 0, 2, notUTF8},
		"UTF-8 across lines":      {"A: \xc3\n \xab\n", 0, 1, notUTF8},
		"cut in name":             {"A: b\n\nB", 1, 3, truncated},
		"cut in value":            {"A: b\n\nB: c", 1, 3, truncated},
		"cut in continuation":     {"A: b\n c", 0, 2, truncated},
		"cut in comment":          {"A: b\n#", 0, 2, truncated},
		"cut in empty line":       {"A: b\n ", 0, 2, truncated},
		"cut in CRLF":             {"A: b\r", 0, 1, truncated},
		"cut within UTF-8":        {"A: \xc3", 0, 1, truncated},
		"cut in long line":        {"A: b\n" + strings.Repeat(" x", 100_000), 0, 2, truncated},
		"long value":              {"A: b\nB: " + strings.Repeat("x", deb822.MaxLine), 0, 2, longLine},
		"long by one":             {"A: b\n " + strings.Repeat("x", deb822.MaxLine) + "\n", 0, 2, longLine},
		"long by one, CRLF":       {"A: b\n " + strings.Repeat("x", deb822.MaxLine) + "\r\n", 0, 2, longLine},
		"long comment":            {"A: b\n\n#" + strings.Repeat("x", deb822.MaxLine) + "\n", 1, 3, longLine},
		"large stanza":            {"Abc:\n" + long + long + long + long, 0, 5, "stanza over 4194304 bytes"},
		"large stanza, new field": {"A:\n" + long + long + long + "B:" + long[2:] + "C: d\n", 0, 6, "stanza over 4194304 bytes"},
		"many fields":             {fields(deb822.MaxFields + 1), 0, deb822.MaxFields + 1, "stanza of more than 256 fields"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := deb822.NewReader(strings.NewReader(test.in))
			for range test.stanzas {
				_, err := r.Next()
				require.NoError(t, err)
			}
			s, err := r.Next()
			require.Nil(t, s)
			requireSyntaxError(t, err, test.line, test.msg)
			require.EqualError(t, err, fmt.Sprintf("deb822: %s in line %d", test.msg, test.line))

			_, again := r.Next()
			require.Same(t, err, again, "an error stays")
		})
	}
}

func requireSyntaxError(t *testing.T, err error, line int, msg string) {
	t.Helper()
	var syntax *deb822.SyntaxError
	require.ErrorAs(t, err, &syntax)
	require.Equal(t, deb822.SyntaxError{Line: line, Msg: msg}, *syntax)
}

// Each limit is reached, not passed.
func TestNextAtLimits(t *testing.T) {
	t.Run("line", func(t *testing.T) {
		for _, end := range []string{"\n", "\r\n"} {
			value := strings.Repeat("x", deb822.MaxLine-len("A:"))
			got, err := readAll(strings.NewReader("A:" + value + end + "B: c" + end))
			require.NoError(t, err)
			require.Equal(t, [][]field{{{"A", value, 1}, {"B", "c", 2}}}, got)
		}
	})
	t.Run("stanza", func(t *testing.T) {
		// "A", and four lines with the newlines that join them.
		lines := strings.Repeat(" "+strings.Repeat("x", deb822.MaxLine-2)+"\n", 4)
		in := "A: xxx\n" + lines
		got, err := readAll(strings.NewReader(in))
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Equal(t, deb822.MaxStanza, len(got[0][0].name)+len(got[0][0].value))
	})
	t.Run("fields", func(t *testing.T) {
		var b strings.Builder
		for i := range deb822.MaxFields {
			fmt.Fprintf(&b, "F%d: x\n", i)
		}
		got, err := readAll(strings.NewReader(b.String() + "\n" + b.String()))
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.Len(t, got[1], deb822.MaxFields)
	})
}

func TestNextEnd(t *testing.T) {
	r := deb822.NewReader(strings.NewReader("A: b\n"))
	_, err := r.Next()
	require.NoError(t, err)
	for range 2 {
		s, err := r.Next()
		require.Nil(t, s)
		require.Same(t, io.EOF, err)
	}
}

func TestNextReadError(t *testing.T) {
	broken := errors.New("broken")
	in := io.MultiReader(strings.NewReader("A: b\n\nA: c\nB: d"), iotest.ErrReader(broken))
	got, err := readAll(in)
	require.Equal(t, [][]field{{{"A", "b", 1}}}, got)
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "deb822: reading line 4: broken")

	var syntax *deb822.SyntaxError
	require.False(t, errors.As(err, &syntax))
}

// What a decompressor says of a truncated file, or a network of a lost
// connection, is not mistaken for the end.
func TestNextUnexpectedEOF(t *testing.T) {
	for _, failure := range []error{io.ErrUnexpectedEOF, fmt.Errorf("lost: %w", io.EOF)} {
		r := deb822.NewReader(io.MultiReader(strings.NewReader("A: b\n"), iotest.ErrReader(failure)))
		s, err := r.Next()
		require.Nil(t, s)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.NotErrorIs(t, err, io.EOF)
		require.ErrorContains(t, err, "deb822: reading line 2: ")
		require.ErrorContains(t, err, failure.Error())
	}
}

// endless is a line that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestNextEndless(t *testing.T) {
	_, err := deb822.NewReader(endless{}).Next()
	requireSyntaxError(t, err, 1, "line over 1048576 bytes")
}

func TestNextDirectory(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	_, err = deb822.NewReader(dir).Next()
	var path *os.PathError
	require.ErrorAs(t, err, &path)
}
