package keyenc_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.txt; existing lines must not change once released")

type goldenCase struct {
	name  string
	value any
}

// goldenCases are in ascending order.
func goldenCases() []goldenCase {
	id := func(s string) [16]byte { return [16]byte([]byte(s)) }
	at := func(s string) time.Time {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			panic(err)
		}
		return t
	}
	return []goldenCase{
		{"missing", missing{}},
		{"null", null{}},
		{"bool false", false},
		{"bool true", true},
		{"int -9223372036854775808", int64(math.MinInt64)},
		{"int -9223372036854775807", int64(-math.MaxInt64)},
		{"int -72057594037927937", int64(-1<<56 - 1)},
		{"int -72057594037927936", int64(-1 << 56)},
		{"int -281474976710656", int64(-1 << 48)},
		{"int -1099511627776", int64(-1 << 40)},
		{"int -4294967296", int64(-1 << 32)},
		{"int -16777216", int64(-1 << 24)},
		{"int -65537", int64(-1<<16 - 1)},
		{"int -65536", int64(-1 << 16)},
		{"int -257", int64(-257)},
		{"int -256", int64(-256)},
		{"int -2", int64(-2)},
		{"int -1", int64(-1)},
		{"int 0", int64(0)},
		{"int 1", int64(1)},
		{"int 5", int64(5)},
		{"int 255", int64(255)},
		{"int 256", int64(256)},
		{"int 65536", int64(1 << 16)},
		{"int 16777216", int64(1 << 24)},
		{"int 4294967296", int64(1 << 32)},
		{"int 1099511627776", int64(1 << 40)},
		{"int 281474976710656", int64(1 << 48)},
		{"int 72057594037927936", int64(1 << 56)},
		{"int 9223372036854775807", int64(math.MaxInt64)},
		{"uint 9223372036854775808", uint64(1 << 63)},
		{"uint 18446744073709551615", uint64(math.MaxUint64)},
		{"float NaN", math.NaN()},
		{"float -Inf", math.Inf(-1)},
		{"float -max", -math.MaxFloat64},
		{"float -1.5", -1.5},
		{"float -smallest", -math.SmallestNonzeroFloat64},
		{"float 0", 0.0},
		{"float smallest", math.SmallestNonzeroFloat64},
		{"float 1", 1.0},
		{"float 1.5", 1.5},
		{"float max", math.MaxFloat64},
		{"float +Inf", math.Inf(1)},
		{"time earliest", time.Unix(math.MaxInt64-62135596800+1, 0)}, // wraps around
		{"time 0001-01-01T00:00:00Z", time.Time{}},
		{"time 1677-09-21T00:12:43.145224191Z", at("1677-09-21T00:12:43.145224191Z")},
		{"time 1969-12-31T23:59:59.999999999Z", at("1969-12-31T23:59:59.999999999Z")},
		{"time 1970-01-01T00:00:00Z", time.Unix(0, 0)},
		{"time 2024-02-29T12:30:00.000000001Z", at("2024-02-29T14:30:00.000000001+02:00")},
		{"time 2262-04-11T23:47:16.854775808Z", at("2262-04-11T23:47:16.854775808Z")},
		{"time 9999-12-31T23:59:59.999999999Z", at("9999-12-31T23:59:59.999999999Z")},
		{"time latest", time.Unix(math.MaxInt64-62135596800, 999_999_999)},
		{"uuid zero", [16]byte{}},
		{"uuid 00112233-4455-6677-8899-aabbccddeeff", id("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff")},
		{"uuid max", id(strings.Repeat("\xff", 16))},
		{`string ""`, ""},
		{`string "\x00"`, "\x00"},
		{`string "\x00\x01"`, "\x00\x01"},
		{`string "\x00\xff"`, "\x00\xff"},
		{`string "\x01"`, "\x01"},
		{`string "A"`, "A"},
		{`string "a"`, "a"},
		{`string "a\x00"`, "a\x00"},
		{`string "a\x00b"`, "a\x00b"},
		{`string "a\x01"`, "a\x01"},
		{`string "ab"`, "ab"},
		{`string "é"`, "é"},
		{`string "\xff"`, "\xff"},
		{`bytes ""`, []byte{}},
		{`bytes "\x00"`, []byte{0}},
		{`bytes "a"`, []byte("a")},
		{`bytes "\xff"`, []byte{0xFF}},
		{`custom ""`, custom("")},
		{`custom "\x00"`, custom("\x00")},
		{`custom "a"`, custom("a")},
		{`custom "\xff"`, custom("\xff")},
	}
}

func goldenLine(name string, asc []byte) string {
	desc := bytes.Clone(asc)
	keyenc.Complement(desc)
	return fmt.Sprintf("%s | % X | % X\n", name, asc, desc)
}

func goldenText() string {
	var w strings.Builder
	w.WriteString("# value | ascending | descending; in ascending order\n")
	for _, c := range goldenCases() {
		w.WriteString(goldenLine(c.name, appendValue(nil, c.value)))
	}
	w.WriteString("# prefixes, which are not components\n")
	for _, s := range []string{"", "a", "a\x00"} {
		w.WriteString(goldenLine(fmt.Sprintf("string prefix %q", s), keyenc.AppendStringPrefix(nil, s)))
		w.WriteString(goldenLine(fmt.Sprintf("bytes prefix %q", s), keyenc.AppendBytesPrefix(nil, []byte(s))))
	}
	return w.String()
}

func TestGolden(t *testing.T) {
	const path = "testdata/golden.txt"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(goldenText()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), goldenText())
}

func TestGoldenIsSorted(t *testing.T) {
	cases := goldenCases()
	for i := 1; i < len(cases); i++ {
		a, b := cases[i-1], cases[i]
		require.Negative(t, bytes.Compare(appendValue(nil, a.value), appendValue(nil, b.value)), "%s, %s", a.name, b.name)
		require.Positive(t, bytes.Compare(field{a.value, true}.append(nil), field{b.value, true}.append(nil)), "%s, %s", a.name, b.name)
	}
}

// TestGoldenDecodes reads what is in the file, not what the encoder writes now.
func TestGoldenDecodes(t *testing.T) {
	lines := goldenLines(t)
	for _, c := range goldenCases() {
		line, ok := lines[c.name]
		require.True(t, ok, c.name)
		for _, hex := range line {
			v, rest, err := decodeValue(unhex(t, hex))
			require.NoError(t, err, c.name)
			require.Empty(t, rest, c.name)
			requireSame(t, c.value, v)
		}
	}
}

// TestDocumentedExamples holds the table in docs/format.md to the golden file.
func TestDocumentedExamples(t *testing.T) {
	doc, err := os.ReadFile("../../docs/format.md")
	require.NoError(t, err)
	_, doc, ok := bytes.Cut(doc, []byte("<!-- golden: internal/keyenc -->"))
	require.True(t, ok)
	doc, _, ok = bytes.Cut(doc, []byte("<!-- /golden -->"))
	require.True(t, ok)

	lines := goldenLines(t)
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([0-9A-F ]+)` \\| `([0-9A-F ]+)` \\|$").FindAllSubmatch(doc, -1)
	require.Equal(t, bytes.Count(doc, []byte("\n|"))-2, len(rows), "rows that do not parse")
	for _, row := range rows {
		require.Equal(t, lines[string(row[1])], [2]string{string(row[2]), string(row[3])}, string(row[1]))
	}
}

func goldenLines(t *testing.T) map[string][2]string {
	text, err := os.ReadFile("testdata/golden.txt")
	require.NoError(t, err)
	lines := map[string][2]string{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(strings.TrimSuffix(line, "\n"), " | ")
		require.Len(t, parts, 3, line)
		require.NotContains(t, lines, parts[0])
		lines[parts[0]] = [2]string{parts[1], parts[2]}
	}
	return lines
}
