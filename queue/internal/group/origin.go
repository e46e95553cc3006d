package group

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/access"
	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// Origin is where a group begins in the partitions that it has no checkpoint of.
type Origin struct {
	Floors []uint64 // one for each partition; nil is the beginning of the log
}

func (o *Origin) floor(partition int) uint64 {
	if o.Floors == nil {
		return 0
	}
	return o.Floors[partition]
}

// Ensure returns where a group begins, and registers the group if it is new. A new
// group begins with the oldest event or, with newest, after the newest one.
func Ensure(ctx context.Context, store *access.Store, keys eventlog.Keys, topic, group string, partitions int, newest bool) (Origin, error) {
	var o Origin
	err := store.UpdateKnown(ctx, "a group", func(tx *kv.Txn) error {
		var exists bool
		var err error
		if o, exists, err = ReadOrigin(ctx, tx, keys.Prefix, topic, group, partitions); exists || err != nil {
			return err
		}
		if newest {
			heads, err := eventlog.ReadHeads(ctx, tx, keys, topic, partitions, eventlog.AllShards)
			if err != nil {
				return err
			}
			for _, h := range heads {
				o.Floors = append(o.Floors, h.Last...)
			}
		}
		return tx.Set(Key(keys.Prefix, topic, group), o.Append(nil, time.Now()))
	})
	if err != nil {
		return o, fmt.Errorf("queue: group %q of topic %q: %w", group, topic, err)
	}
	return o, nil
}

// ReadOrigin returns where a group begins, and whether it exists.
func ReadOrigin(ctx context.Context, tx *kv.Txn, prefix []byte, topic, group string, partitions int) (o Origin, exists bool, err error) {
	row, err := tx.Get(ctx, Key(prefix, topic, group))
	if errors.Is(err, kv.ErrNotFound) {
		return o, false, nil
	}
	if err == nil {
		o, err = ParseOrigin(row, partitions)
	}
	return o, true, err
}

const groupFormat = 1

// Append appends the row of a group that is made at a time.
func (o *Origin) Append(dst []byte, created time.Time) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, groupFormat), uint64(created.UnixMilli()))
	dst = binary.AppendUvarint(dst, uint64(len(o.Floors)))
	for _, f := range o.Floors {
		dst = binary.AppendUvarint(dst, f)
	}
	return dst
}

// ParseOrigin reads the row of a group in a topic of so many partitions.
func ParseOrigin(row []byte, partitions int) (Origin, error) {
	r := rowenc.NewReader(row)
	r.Format(groupFormat)
	r.Uint64() // created
	var o Origin
	if n := r.Uvarint(); n > 0 && !r.Failed() {
		if n != uint64(partitions) {
			return o, fmt.Errorf("%w: a group that starts in %d partitions of %d", access.ErrCorrupt, n, partitions)
		}
		o.Floors = make([]uint64, n)
		for i := range o.Floors {
			o.Floors[i] = r.Uvarint()
		}
	}
	return o, r.Done(&access.RowErrors)
}
