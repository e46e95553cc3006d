package bolt

import (
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/internal/settings"
)

// formatNumber is the layout of the buckets, keys and values of this file. A store
// with a higher one is not opened.
const formatNumber = 1

// The buckets, and the driver's own keys in metaBucket. The value of each key is a
// settings number.
var (
	dataBucket = []byte("data") // immutable: the users' pairs, as they are
	metaBucket = []byte("meta") // immutable

	settingsKeys = [...][]byte{ // immutable
		settings.Format:   []byte("format"),
		settings.Lifetime: []byte("lifetime"),
		settings.Reserved: []byte("reserved"),
	}
	versionKey = []byte("version") // immutable: of the newest commit; each commit writes it
)

// state is what the driver's own keys say.
type state struct {
	settings.Settings
	version kv.Version
}

// loadState reads the driver's own keys. The zero state and no error mean that
// the file is empty.
func loadState(db *bbolt.DB, lifetime time.Duration) (s state, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		if k, _ := tx.Cursor().First(); k == nil {
			return nil
		}
		meta := tx.Bucket(metaBucket)
		if meta == nil || tx.Bucket(dataBucket) == nil {
			return fmt.Errorf("%w: the file is not one of this driver", kv.ErrCorrupt)
		}
		if s, err = readState(meta); err != nil {
			return err
		}
		return settings.Agree(s.Lifetime, lifetime)
	})
	return s, err
}

func readState(meta *bbolt.Bucket) (state, error) {
	own, err := settings.Load(formatNumber, func(f settings.Field) (uint64, error) {
		return readNumber(meta, settingsKeys[f])
	})
	if err != nil {
		return state{}, err
	}
	version, err := readNumber(meta, versionKey)
	if err != nil {
		return state{}, err
	}
	s := state{own, kv.Version(version)}
	if s.Reserved < s.version {
		return state{}, fmt.Errorf("%w: the driver's own keys contradict one another", kv.ErrCorrupt)
	}
	return s, nil
}

// createState fills an empty file.
func createState(db *bbolt.DB, lifetime time.Duration) (state, error) {
	s := state{Settings: settings.New(lifetime)}
	return s, db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucket(dataBucket); err != nil {
			return err
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if err := s.Store(formatNumber, func(f settings.Field, n uint64) error {
			return writeNumber(meta, settingsKeys[f], n)
		}); err != nil {
			return err
		}
		return writeNumber(meta, versionKey, uint64(s.version))
	})
}

func writeNumber(meta *bbolt.Bucket, key []byte, n uint64) error {
	return meta.Put(key, settings.AppendNumber(nil, n))
}

func readNumber(meta *bbolt.Bucket, key []byte) (uint64, error) {
	return settings.ParseNumber(meta.Get(key))
}
