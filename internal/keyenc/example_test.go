package keyenc_test

import (
	"bytes"
	"fmt"

	"github.com/tito-db/tito-go/internal/keyenc"
)

// A key of two fields, the second one descending, and how it is taken apart.
func Example() {
	key := keyenc.AppendString(nil, "alice")
	n := len(key)
	key = keyenc.AppendInt(key, 300)
	keyenc.Complement(key[n:])
	fmt.Printf("% X\n", key)

	name, rest, err := keyenc.DecodeString(key)
	if err != nil {
		panic(err)
	}
	size, rest, err := keyenc.DecodeInt(rest)
	if err != nil {
		panic(err)
	}
	fmt.Println(name, size, len(rest))
	// Output:
	// 48 61 6C 69 63 65 00 01 DD FE D3
	// alice 300 0
}

func ExampleAppendInt() {
	for _, v := range []int64{-257, -1, 0, 1, 256} {
		fmt.Printf("%4d: % X\n", v, keyenc.AppendInt(nil, v))
	}
	// Output:
	// -257: 1E FE FF
	//   -1: 1F FF
	//    0: 20
	//    1: 21 01
	//  256: 22 01 00
}

func ExampleAppendString() {
	fmt.Printf("% X\n", keyenc.AppendString(nil, "go"))
	fmt.Printf("% X\n", keyenc.AppendString(nil, "g\x00o"))
	// Output:
	// 48 67 6F 00 01
	// 48 67 00 FF 6F 00 01
}

func ExampleNext() {
	key := keyenc.AppendNull(keyenc.AppendUint(nil, 7))
	for len(key) > 0 {
		component, rest, err := keyenc.Next(key)
		if err != nil {
			panic(err)
		}
		kind, _ := keyenc.KindOf(component)
		fmt.Printf("%v: % X\n", kind, component)
		key = rest
	}
	// Output:
	// integer: 21 07
	// null: 08
}

// The keys whose descending string field begins with "ab".
func ExampleAppendStringPrefix() {
	start := keyenc.AppendStringPrefix(nil, "ab")
	keyenc.Complement(start)
	end := keyenc.PrefixEnd(start)
	for _, s := range []string{"aa", "ab", "abc", "ac"} {
		key := keyenc.AppendString(nil, s)
		keyenc.Complement(key)
		fmt.Println(s, bytes.Compare(key, start) >= 0 && bytes.Compare(key, end) < 0)
	}
	// Output:
	// aa false
	// ab true
	// abc true
	// ac false
}

func ExamplePrefixEnd() {
	fmt.Printf("% X\n", keyenc.PrefixEnd([]byte("a1")))
	fmt.Printf("% X\n", keyenc.PrefixEnd([]byte{0x01, 0xFF}))
	fmt.Println(keyenc.PrefixEnd([]byte{0xFF}) == nil)
	// Output:
	// 61 32
	// 02
	// true
}
