package keyenc_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/internal/keyenc"
)

// decoders are all of them, their values dropped.
func decoders() map[keyenc.Kind][]func(b []byte) (rest []byte, err error) {
	type list = []func(b []byte) (rest []byte, err error)
	return map[keyenc.Kind]list{
		keyenc.KindMissing: {keyenc.DecodeMissing},
		keyenc.KindNull:    {keyenc.DecodeNull},
		keyenc.KindBool:    {drop(keyenc.DecodeBool)},
		keyenc.KindInt:     {drop(keyenc.DecodeInt), drop(keyenc.DecodeUint)},
		keyenc.KindFloat:   {drop(keyenc.DecodeFloat)},
		keyenc.KindTime:    {drop(keyenc.DecodeTime)},
		keyenc.KindUUID:    {drop(keyenc.DecodeUUID)},
		keyenc.KindString:  {drop(keyenc.DecodeString)},
		keyenc.KindBytes:   {drop(keyenc.DecodeBytes)},
		keyenc.KindCustom:  {drop(keyenc.DecodeCustom)},
	}
}

func drop[T any](decode func([]byte) (T, []byte, error)) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		_, rest, err := decode(b)
		return rest, err
	}
}

func requireCorrupt(t *testing.T, b []byte, msg string) {
	t.Helper()
	component, rest, err := keyenc.Next(b)
	require.ErrorIs(t, err, keyenc.ErrCorrupt, "%s: % X", msg, b)
	require.Nil(t, component)
	require.Nil(t, rest)
	for kind, list := range decoders() {
		for _, decode := range list {
			rest, err := decode(b)
			require.ErrorIs(t, err, keyenc.ErrCorrupt, "%s: % X as %v", msg, b, kind)
			require.Nil(t, rest)
		}
	}
}

func TestCorruptInput(t *testing.T) {
	for _, c := range []struct{ name, hex string }{
		{"integer: leading zero, 1 byte", "21 00"},
		{"integer: leading zero, 2 bytes", "22 00 05"},
		{"integer: leading zero, 8 bytes", "28 00 FF FF FF FF FF FF FF"},
		{"integer: leading FF, negative, 2 bytes", "1E FF 00"},
		{"integer: leading FF, negative, 8 bytes", "18 FF 00 00 00 00 00 00 00"},
		{"integer: below the smallest", "18 7F FF FF FF FF FF FF FF"},
		{"integer: 9 bytes", "29 01 00 00 00 00 00 00 00 00"},
		{"integer: 9 bytes, negative", "17 FE 00 00 00 00 00 00 00 00"},
		{"float: negative zero", "30 7F FF FF FF FF FF FF FF"},
		{"float: positive NaN", "30 FF F8 00 00 00 00 00 00"},
		{"float: first positive NaN", "30 FF F0 00 00 00 00 00 01"},
		{"float: negative NaN", "30 00 07 FF FF FF FF FF FF"},
		{"float: last negative NaN", "30 00 00 00 00 00 00 00 01"},
		{"time: 10^9 nanoseconds", "38 80 00 00 00 00 00 00 00 3B 9A CA 00"},
		{"time: 2^32-1 nanoseconds", "38 80 00 00 00 00 00 00 00 FF FF FF FF"},
		{"string: no terminator", "48 61"},
		{"string: half a terminator", "48 61 00"},
		{"string: escape without an end", "48 61 00 FF"},
		{"string: escaped 00", "48 61 00 00 00 01"},
		{"string: escaped 02", "48 61 00 02 00 01"},
		{"string: escaped FE", "48 61 00 FE 00 01"},
		{"bytes: no terminator", "50"},
		{"bytes: escaped 00", "50 00 00 01"},
		{"custom: no terminator", "58 FF"},
		{"custom: escaped 02", "58 00 02 00 01"},
	} {
		b := unhex(t, c.hex)
		requireCorrupt(t, b, c.name)
		keyenc.Complement(b)
		requireCorrupt(t, b, c.name+", descending")
	}
}

func TestEmptyInputIsCorrupt(t *testing.T) {
	requireCorrupt(t, nil, "nil")
	requireCorrupt(t, []byte{}, "empty")
}

// TestTags goes through all 256 first bytes: those outside the table are corrupt
// whatever follows, and each of the others belongs to one kind.
func TestTags(t *testing.T) {
	known := map[byte]keyenc.Kind{}
	for _, c := range goldenCases() {
		known[appendValue(nil, c.value)[0]] = rank(c.value)
	}
	require.Len(t, known, 4+17+6)
	for i := range 256 {
		tag, desc := byte(i), i >= 0x80
		asc := tag
		if desc {
			asc = ^tag
		}
		kind, gotDesc := keyenc.KindOf([]byte{tag})
		require.Equal(t, known[asc], kind, "%02X", tag)
		require.Equal(t, desc, gotDesc)
		if kind != keyenc.KindInvalid {
			continue
		}
		for _, fill := range []byte{0x00, 0x01, 0x80, 0xFE, 0xFF} {
			requireCorrupt(t, append([]byte{tag}, bytes.Repeat([]byte{fill}, 20)...), "unused tag")
		}
	}
	for _, tag := range []byte{0x00, 0x7F, 0x80, 0xFF} {
		kind, _ := keyenc.KindOf([]byte{tag})
		require.Equal(t, keyenc.KindInvalid, kind, "no component begins with %02X", tag)
	}
}

func TestTruncatedInput(t *testing.T) {
	for _, c := range goldenCases() {
		for _, desc := range []bool{false, true} {
			enc := field{c.value, desc}.append(nil)
			for n := range enc {
				requireCorrupt(t, enc[:n:n], c.name)
			}
		}
	}
}

func TestDecodersRefuseOtherKinds(t *testing.T) {
	for _, c := range goldenCases() {
		for _, desc := range []bool{false, true} {
			enc := field{c.value, desc}.append(nil)
			for kind, list := range decoders() {
				for _, decode := range list {
					rest, err := decode(enc)
					if kind != rank(c.value) {
						require.ErrorIs(t, err, keyenc.ErrCorrupt, "%s as %v", c.name, kind)
						require.Nil(t, rest)
					} else {
						require.NotErrorIs(t, err, keyenc.ErrCorrupt, "%s as %v", c.name, kind)
					}
				}
			}
		}
	}
}

// TestErrorsAreThePlainSentinels keeps keys and values out of messages.
func TestErrorsAreThePlainSentinels(t *testing.T) {
	require.EqualError(t, keyenc.ErrCorrupt, "keyenc: corrupt key")
	_, _, err := keyenc.DecodeString([]byte("\x48secret"))
	require.Equal(t, keyenc.ErrCorrupt, err)
}
