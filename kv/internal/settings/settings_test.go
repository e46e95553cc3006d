package settings_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/settings"
)

const known = 3

// numbers is a store's own numbers by field.
type numbers map[settings.Field]uint64

func (n numbers) read(f settings.Field) (uint64, error) { return n[f], nil }

func (n numbers) write(f settings.Field, v uint64) error {
	n[f] = v
	return nil
}

func TestRoundTrip(t *testing.T) {
	for _, s := range []settings.Settings{
		settings.New(0),
		settings.New(time.Minute),
		{Lifetime: 1, Reserved: 1<<63 - 1},
		{Lifetime: math.MaxInt64},
	} {
		n := numbers{}
		require.NoError(t, s.Store(known, n.write))
		require.Equal(t, numbers{settings.Format: known, settings.Lifetime: uint64(s.Lifetime), settings.Reserved: uint64(s.Reserved)}, n)
		got, err := settings.Load(known, n.read)
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	require.Equal(t, kv.DefaultTxnLifetime, settings.New(0).Lifetime)
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		n    numbers
		want error
	}{
		"no format":          {numbers{settings.Lifetime: 1}, kv.ErrCorrupt},
		"a newer format":     {numbers{settings.Format: known + 1}, kv.ErrNewerFormat},
		"a far newer format": {numbers{settings.Format: math.MaxUint64}, kv.ErrNewerFormat},
		"no lifetime":        {numbers{settings.Format: known}, kv.ErrCorrupt},
		"negative lifetime":  {numbers{settings.Format: known, settings.Lifetime: 1 << 63}, kv.ErrCorrupt},
		"the end of time":    {numbers{settings.Format: known, settings.Lifetime: 1, settings.Reserved: 1 << 63}, kv.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := settings.Load(known, c.n.read)
			require.ErrorIs(t, err, c.want)
			require.Equal(t, c.want == kv.ErrNewerFormat, errors.Is(err, kv.ErrNewerFormat)) //nolint:errorlint // the sentinel itself
		})
	}
	_, err := settings.Load(known, numbers{settings.Format: 1, settings.Lifetime: 1}.read)
	require.NoError(t, err, "an older format")
}

// TestNewerFormatSaysWhatToDo: the message has both numbers.
func TestNewerFormatSaysWhatToDo(t *testing.T) {
	require.EqualError(t, settings.CheckFormat(7, known), "kv: written in a newer format than this program knows: "+
		"the store has format 7, this program knows formats up to 3: open the store with the version of the program that made it, or a newer one")
}

// TestNothingIsReadOfANewerFormat: what the other numbers mean depends on it.
func TestNothingIsReadOfANewerFormat(t *testing.T) {
	_, err := settings.Load(known, func(f settings.Field) (uint64, error) {
		require.Equal(t, settings.Format, f)
		return known + 1, nil
	})
	require.ErrorIs(t, err, kv.ErrNewerFormat)
}

func TestFailuresOfTheStore(t *testing.T) {
	broken := errors.New("broken")
	good := numbers{settings.Format: 1, settings.Lifetime: 1, settings.Reserved: 1}
	for _, bad := range []settings.Field{settings.Format, settings.Lifetime, settings.Reserved} {
		_, err := settings.Load(known, func(f settings.Field) (uint64, error) {
			if f == bad {
				return 0, broken
			}
			return good[f], nil
		})
		require.ErrorIs(t, err, broken)
		require.ErrorIs(t, settings.New(0).Store(known, func(f settings.Field, _ uint64) error {
			if f == bad {
				return broken
			}
			return nil
		}), broken)
	}
}

func TestAgree(t *testing.T) {
	require.NoError(t, settings.Agree(time.Second, 0))
	require.NoError(t, settings.Agree(time.Second, time.Second))
	require.ErrorIs(t, settings.Agree(time.Second, time.Minute), kv.ErrOptions)
}

func TestNumbers(t *testing.T) {
	require.Equal(t, []byte{'x', 0, 0, 0, 0, 0, 0, 1, 2}, settings.AppendNumber([]byte("x"), 258))
	n, err := settings.ParseNumber([]byte{0, 0, 0, 0, 0, 0, 1, 2})
	require.NoError(t, err)
	require.EqualValues(t, 258, n)
	for _, v := range [][]byte{nil, {1}, make([]byte, 7), make([]byte, 9)} {
		_, err := settings.ParseNumber(v)
		require.ErrorIs(t, err, kv.ErrCorrupt)
	}
}
