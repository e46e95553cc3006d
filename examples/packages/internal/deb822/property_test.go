package deb822_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tito-db/tito-go/examples/packages/internal/deb822"
)

// written is a text and the stanzas that it holds.
type written struct {
	text    strings.Builder
	line    int
	stanzas [][]field
}

func (w *written) writeLine(t *rapid.T, text string) {
	w.text.WriteString(text)
	w.text.WriteString(rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end"))
	w.line++
}

// noise writes lines that mean nothing within a stanza.
func (w *written) noise(t *rapid.T) {
	for range rapid.IntRange(0, 1).Draw(t, "comments") {
		w.writeLine(t, "#"+text.Draw(t, "comment"))
	}
}

// separate writes at least n lines that end a stanza.
func (w *written) separate(t *rapid.T, n int) {
	for range rapid.IntRange(n, n+2).Draw(t, "separators") {
		w.writeLine(t, blanks.Draw(t, "blanks"))
		w.noise(t)
	}
}

var (
	name   = rapid.StringMatching(`[!-,./-9;-~!"$-,.][!-9;-~]{0,8}`).Filter(func(s string) bool { return s[0] != '#' })
	blanks = rapid.StringMatching(`[ \t]{0,3}`)
	blank  = rapid.SampledFrom([]string{" ", "\t"})
	text   = rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 && r != '\n' && r != '\r' }))
)

// document draws stanzas and one of the many ways to write them.
var document = rapid.Custom(func(t *rapid.T) *written {
	w := &written{}
	w.separate(t, 0)
	for range rapid.IntRange(0, 4).Draw(t, "stanzas") {
		var fields []field
		names := rapid.SliceOfNDistinct(name, 1, 8, strings.ToLower).Draw(t, "names")
		for _, name := range names {
			w.noise(t)
			value := strings.Trim(text.Draw(t, "value"), " \t")
			w.writeLine(t, name+":"+blanks.Draw(t, "before")+value+blanks.Draw(t, "after"))
			f := field{name, value, w.line}
			for range rapid.IntRange(0, 3).Draw(t, "continuations") {
				w.noise(t)
				more := strings.TrimRight(text.Draw(t, "more"), " \t")
				if more == "" {
					more = "."
				}
				w.writeLine(t, blank.Draw(t, "blank")+more+blanks.Draw(t, "after"))
				f.value += "\n" + more
			}
			fields = append(fields, f)
		}
		w.stanzas = append(w.stanzas, fields)
		w.noise(t)
		w.separate(t, 1)
	}
	return w
})

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := document.Draw(t, "document")
		got, err := readAll(strings.NewReader(w.text.String()))
		require.NoError(t, err)
		require.Equal(t, w.stanzas, got)
	})
}

// A line that is wrong anywhere in a good document is reported where it is,
// behind the stanzas before it.
func TestWrongLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := document.Draw(t, "document")
		lines := strings.SplitAfter(w.text.String(), "\n")
		at := rapid.IntRange(0, len(lines)-1).Draw(t, "at")
		wrong := rapid.SampledFrom([]struct{ line, msg string }{
			{"no colon\n", "field without a colon"},
			{"no name: x\n", "field name with a blank or another invalid character"},
			{": x\n", "empty field name"},
			{" \x00\n", "NUL byte"},
			{"#\xff\n", "invalid UTF-8"},
		}).Draw(t, "wrong")
		lines = append(lines[:at:at], append([]string{wrong.line}, lines[at:]...)...)

		got, err := readAll(strings.NewReader(strings.Join(lines, "")))
		require.EqualError(t, err, (&deb822.SyntaxError{Line: at + 1, Msg: wrong.msg}).Error())
		require.LessOrEqual(t, len(got), len(w.stanzas))
		if len(got) > 0 {
			require.Equal(t, w.stanzas[:len(got)], got)
		}
	})
}

// relation draws one alternative: the name in it and a way to write it.
var relation = rapid.Custom(func(t *rapid.T) [2]string {
	name := rapid.StringMatching(`[a-z0-9][a-z0-9+.\-]{1,4}`).Draw(t, "name")
	pad := rapid.SampledFrom([]string{"", " ", "\n ", "\t "})
	optional := func(pattern string) string {
		if !rapid.Bool().Draw(t, "optional") {
			return ""
		}
		return pad.Draw(t, "pad") + rapid.StringMatching(pattern).Draw(t, "suffix")
	}
	text := name
	if rapid.Bool().Draw(t, "qualified") {
		text += rapid.StringMatching(`:[a-z0-9]{1,5}`).Draw(t, "arch")
	}
	text += optional(`\( ?(<<|<=|=|>=|>>|<|>) {0,2}[0-9][A-Za-z0-9.+~:\-]{0,8} ?\)`)
	text += optional(`\[!?[a-z]{1,5}( !?[a-z\-]{1,5}){0,2}\]`)
	text += optional(`<!?[a-z]{1,5}( !?[a-z.]{1,5}){0,2}>`)
	return [2]string{name, pad.Draw(t, "pad") + text + pad.Draw(t, "pad")}
})

func TestDependenciesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]bool{}
		var items []string
		for _, alternatives := range rapid.SliceOfN(rapid.SliceOfN(relation, 1, 3), 1, 6).Draw(t, "relations") {
			want[alternatives[0][0]] = true
			var texts []string
			for _, a := range alternatives {
				texts = append(texts, a[1])
			}
			items = append(items, strings.Join(texts, "|"))
		}
		s := first(t, "Depends:"+strings.Join(items, ",")+"\n")
		got, err := s.Dependencies("Depends")
		require.NoError(t, err)
		require.ElementsMatch(t, keys(want), got)
		require.IsIncreasing(t, append([]string{""}, got...))
	})
}
