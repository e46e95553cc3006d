package layout_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/kv"
)

func TestPrefixes(t *testing.T) {
	require.Equal(t, "app/t\x20\x20r", string(layout.TablePrefix([]byte("app/"), layout.DefaultNamespace, layout.CatalogTable, layout.KindRow)))
	require.Equal(t, "app/qi", string(layout.QueuePrefix([]byte("app/"), layout.KindInbox)))
	require.Equal(t, kv.Range{Start: []byte("a"), End: []byte("b")}, layout.PrefixRange([]byte("a")))
	require.Equal(t, kv.Range{Start: []byte("a\xff"), End: []byte("b")}, layout.PrefixRange([]byte("a\xff")))
	require.Nil(t, layout.PrefixRange([]byte("\xff")).End, "nothing is above")
}

// A prefix that is returned belongs to the caller, who appends to it.
func TestPrefixesAreOwned(t *testing.T) {
	own := append(make([]byte, 0, 64), "app/"...)
	a, b := layout.QueuePrefix(own, layout.KindInbox), layout.TablePrefix(own, 1, 2, layout.KindRow)
	a, b = append(a, "aaaa"...), append(b, "bbbb"...)
	require.Equal(t, "app/", string(own[:4]))
	require.NotEqual(t, a[:8], b[:8])
}

func TestNames(t *testing.T) {
	long := strings.Repeat("x", layout.MaxNameSize)
	require.NoError(t, layout.CheckName("topic", long))
	require.NoError(t, layout.CheckName("topic", "großes Thema"))
	require.NoError(t, layout.CheckSize("table", long))
	require.NoError(t, layout.CheckPrefix(make([]byte, layout.MaxPrefixSize)))
	for want, err := range map[string]error{
		"no topic":                                   layout.CheckName("topic", ""),
		"topic of more than 200 bytes":               layout.CheckName("topic", long+"x"),
		"topic is not UTF-8":                         layout.CheckName("topic", "\xff"),
		"topic with a character that does not print": layout.CheckName("topic", "a\nb"),
		"table without a name":                       layout.CheckSize("table", ""),
		"table name of more than 200 bytes":          layout.CheckSize("table", long+"x"),
		"Prefix of more than 256 bytes":              layout.CheckPrefix(make([]byte, layout.MaxPrefixSize+1)),
	} {
		require.EqualError(t, err, want)
	}
}
