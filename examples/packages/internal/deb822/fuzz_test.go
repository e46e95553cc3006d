package deb822_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/examples/packages/internal/deb822"
)

// FuzzReader checks on any input that reading ends, that line numbers lie
// within the input, that neither the size of reads nor writing the stanzas out
// again changes what is read, and that lists come out in order.
func FuzzReader(f *testing.F) {
	f.Add(sample(f)[:2000])
	for _, seed := range []string{
		"",
		"A: b\n\nA: c\n",
		"# x\r\nPackage: tito\r\nTag: a::{b,c},\r\n d\r\n \t\r\n",
		"Depends: a:any (>= 1:2~3) [amd64 !i386] <!x y> | b, c\nPre-Depends: d\n",
		"A: b\nA: c\n",
		"A: b\n c",
		"a:\n .\n:\n",
		"-: \x00\xff\n",
		"A: b\r\r\n\xc3\xa9: c\n",
		"Depends: a (\nTag: {\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		lines := bytes.Count(in, []byte("\n"))
		r := deb822.NewReader(bytes.NewReader(in))
		var stanzas [][]field
		var failure error
		last := 0 // line of a field
		for {
			s, err := r.Next()
			if err != nil {
				failure = err
				break
			}
			require.Less(t, len(stanzas), lines, "each stanza has a line")
			fields := fieldsOf(s)
			require.NotEmpty(t, fields)
			require.Equal(t, fields[0].line, s.Line())
			for _, field := range fields {
				require.Greater(t, field.line, last)
				last = field.line
				require.Equal(t, field.line, s.FieldLine(strings.ToUpper(field.name)))
				require.Equal(t, field.value, s.Get(strings.ToLower(field.name)))

				names, err := s.Dependencies(field.name)
				checkList(t, names, err, field.line)
				names, err = s.Tags(field.name)
				checkList(t, names, err, field.line)
			}
			stanzas = append(stanzas, fields)
		}
		require.LessOrEqual(t, last, lines)

		var syntax *deb822.SyntaxError
		if errors.As(failure, &syntax) {
			require.Greater(t, syntax.Line, 0)
			require.GreaterOrEqual(t, syntax.Line, last)
			require.LessOrEqual(t, syntax.Line, lines+1)
		} else {
			require.Same(t, io.EOF, failure)
		}

		slow, err := readAll(iotest.OneByteReader(bytes.NewReader(in)))
		require.Equal(t, stanzas, slow)
		if syntax != nil {
			require.Equal(t, failure, err)
		} else {
			require.NoError(t, err)
		}

		again, err := readAll(strings.NewReader(format(stanzas)))
		require.NoError(t, err)
		require.Equal(t, withoutLines(stanzas), withoutLines(again))
	})
}

func checkList(t *testing.T, names []string, err error, line int) {
	if err != nil {
		require.Nil(t, names)
		var syntax *deb822.SyntaxError
		require.ErrorAs(t, err, &syntax)
		require.Equal(t, line, syntax.Line)
		return
	}
	require.True(t, slices.IsSorted(names))
	require.Len(t, slices.Compact(slices.Clone(names)), len(names))
	require.NotContains(t, names, "")
}

// format ends lines in CR LF, as the CR of a value that ends in one would be
// lost before an LF alone.
func format(stanzas [][]field) string {
	var b strings.Builder
	for _, fields := range stanzas {
		for _, f := range fields {
			b.WriteString(f.name + ":" + strings.ReplaceAll(f.value, "\n", "\r\n ") + "\r\n")
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

func withoutLines(stanzas [][]field) (all [][]field) {
	for _, fields := range stanzas {
		fields = slices.Clone(fields)
		for i := range fields {
			fields[i].line = 0
		}
		all = append(all, fields)
	}
	return all
}
