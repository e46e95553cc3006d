package bolt

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tito-db/tito-go/kv"
)

// formatNumber is the layout of the buckets, keys and values below. A store
// with another one is not opened.
const formatNumber = 1

// The buckets, and the driver's own keys in metaBucket. Each of their values
// is a big-endian uint64.
var (
	dataBucket = []byte("data") // immutable: the users' pairs, as they are
	metaBucket = []byte("meta") // immutable

	formatKey   = []byte("format")   // immutable
	lifetimeKey = []byte("lifetime") // immutable: of read-write transactions, in nanoseconds
	reservedKey = []byte("reserved") // immutable: no higher version was ever handed out
	versionKey  = []byte("version")  // immutable: of the newest commit; each commit writes it
)

// state is what the driver's own keys say.
type state struct {
	lifetime          time.Duration
	reserved, version kv.Version
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
		s, err = readState(meta)
		return err
	})
	if err == nil && s.lifetime != 0 && lifetime != 0 && lifetime != s.lifetime {
		err = fmt.Errorf("%w: TxnLifetime is %v, but the store has %v", kv.ErrOptions, lifetime, s.lifetime)
	}
	return s, err
}

func readState(meta *bbolt.Bucket) (state, error) {
	var format, lifetime, reserved, version uint64
	for _, f := range []struct {
		key []byte
		to  *uint64
	}{{formatKey, &format}, {lifetimeKey, &lifetime}, {reservedKey, &reserved}, {versionKey, &version}} {
		var err error
		if *f.to, err = readNumber(meta, f.key); err != nil {
			return state{}, err
		}
		if format != formatNumber {
			return state{}, fmt.Errorf("%w: its format is %d, this program reads %d", kv.ErrCorrupt, format, formatNumber)
		}
	}
	const tooHigh = math.MaxUint64 - 1<<46 // soon there would be no next version
	s := state{time.Duration(lifetime), kv.Version(reserved), kv.Version(version)}
	if s.lifetime <= 0 || s.reserved < s.version || s.reserved >= tooHigh {
		return state{}, fmt.Errorf("%w: the driver's own keys contradict one another", kv.ErrCorrupt)
	}
	return s, nil
}

// createState fills an empty file.
func createState(db *bbolt.DB, lifetime time.Duration) (state, error) {
	if lifetime == 0 {
		lifetime = kv.DefaultTxnLifetime
	}
	return state{lifetime: lifetime}, db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucket(dataBucket); err != nil {
			return err
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		for _, f := range []struct {
			key []byte
			n   uint64
		}{{formatKey, formatNumber}, {lifetimeKey, uint64(lifetime)}, {reservedKey, 0}, {versionKey, 0}} {
			if err := writeNumber(meta, f.key, f.n); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeNumber(meta *bbolt.Bucket, key []byte, n uint64) error {
	return meta.Put(key, binary.BigEndian.AppendUint64(nil, n))
}

func readNumber(meta *bbolt.Bucket, key []byte) (uint64, error) {
	v := meta.Get(key)
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: one of the driver's own values has %d bytes", kv.ErrCorrupt, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}
