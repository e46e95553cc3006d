package tito

import "github.com/tito-db/tito-go/internal/keyenc"

// Key layout, specified in docs/format.md:
//
//	prefix 't' | namespace | table | kind | ...
//
//	kind 'r'  a row:              ... | primary key
//	kind 'x'  an index entry:     ... | index | values [| primary key]
//	kind 'c'  the catalogue, in namespace 0 and table 0
//
// Namespace, table and index ids are keyenc integers, so that the range of any
// of them is one prefix.
const (
	spaceTito    = 't'
	kindRow      = 'r'
	kindEntry    = 'x'
	kindCatalog  = 'c'
	catalogTable = 0
	// defaultNamespace holds all rows that were not put into a namespace.
	defaultNamespace = 0
)

func tablePrefix(prefix []byte, namespace, table uint64, kind byte) []byte {
	k := append([]byte(nil), prefix...)
	k = append(k, spaceTito)
	k = keyenc.AppendUint(k, namespace)
	k = keyenc.AppendUint(k, table)
	return append(k, kind)
}
