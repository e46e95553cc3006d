package tito

import (
	"fmt"
	"math"
	"strconv"

	"github.com/google/uuid"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// eventFormat is the second byte of every event's payload.
const eventFormat = 1

// eventValue is the payload of an event:
//
//	space          1 byte, 't', as in Tito's keys
//	format         1 byte, 1
//	operation      1 byte, an Operation
//	namespace      uvarint length, bytes; empty: the default one
//	table          uvarint length, bytes
//	primary key    uvarint length, bytes, as in the row's key
//	images         1 byte, 1 if there is one of before, plus 2 for after
//	of each image, before first:
//	  stamp             see record.AppendStamp
//	  record            uvarint length, bytes
type eventValue struct {
	operation     Operation
	namespace     string
	table         string
	pk            []byte
	before, after image
}

// image is a row's record in an event, with its stamp. The zero image is none.
type image struct {
	exists bool
	stamp  record.Stamp
	record []byte
}

// imageOf returns the image of a row's value, nil for no row.
func imageOf(value []byte) (image, error) {
	if value == nil {
		return image{}, nil
	}
	h, rec, err := record.ParseRow(value)
	if err != nil {
		return image{}, err
	}
	return image{exists: true, stamp: h.Stamp, record: rec}, nil
}

const (
	hasBefore = 1 << iota
	hasAfter
)

// operationOf tells what a write did that found the row's value before, nil
// for none, and left after.
func operationOf(before, after []byte) Operation {
	switch {
	case before == nil:
		return OpInsert
	case after == nil:
		return OpDelete
	}
	return OpUpdate
}

// appendEvent appends the payload of an event.
func appendEvent(dst []byte, v *eventValue) []byte {
	dst = append(dst, layout.SpaceTables, eventFormat, byte(v.operation))
	dst = rowenc.AppendSized(dst, v.namespace)
	dst = rowenc.AppendSized(dst, v.table)
	dst = rowenc.AppendSized(dst, v.pk)
	var images byte
	if v.before.exists {
		images |= hasBefore
	}
	if v.after.exists {
		images |= hasAfter
	}
	dst = append(dst, images)
	for _, i := range [...]*image{&v.before, &v.after} {
		if i.exists {
			dst = rowenc.AppendSized(record.AppendStamp(dst, &i.stamp), i.record)
		}
	}
	return dst
}

// parseEvent reads a payload. The result aliases it.
func parseEvent(ev *queue.Event) (v eventValue, err error) {
	if ev == nil || len(ev.Payload) == 0 || ev.Payload[0] != layout.SpaceTables {
		return v, fmt.Errorf("%w: not of a table", ErrEvent)
	}
	r := rowenc.NewReader(ev.Payload[1:])
	r.Format(eventFormat)
	v.operation = Operation(r.Byte())
	v.namespace = r.String()
	v.table = r.String()
	v.pk = r.Sized()
	images := r.Byte()
	if images&hasBefore != 0 {
		v.before = readImage(&r)
	}
	if images&hasAfter != 0 {
		v.after = readImage(&r)
	}
	switch {
	case images > hasBefore|hasAfter,
		v.operation < OpInsert, v.operation > OpDelete,
		v.operation == OpInsert && v.before.exists,
		v.operation == OpDelete && v.after.exists:
		r.Fail()
	}
	if err := r.Done(&record.Errors); err != nil {
		return eventValue{}, fmt.Errorf("event: %w", err)
	}
	return v, nil
}

func readImage(r *rowenc.Reader) image {
	i := image{exists: true, stamp: record.ReadStamp(r), record: r.Sized()}
	if i.stamp.Schema > math.MaxUint32 {
		r.Fail()
	}
	return i
}

func (i *image) public() *Image {
	if !i.exists {
		return nil
	}
	return &Image{Codec: i.stamp.Codec, Version: uint32(i.stamp.Schema), Meta: Meta(i.stamp.Meta), Record: i.record}
}

// idText returns a primary key as text. It is a storage format: the key of an
// event, unless Schema.PartitionKey is set.
func idText(pk []byte) (text string, err error) {
	var rest []byte
	switch kind, _ := keyenc.KindOf(pk); kind {
	case keyenc.KindString:
		text, rest, err = keyenc.DecodeString(pk)
	case keyenc.KindInt:
		var n int64
		if n, rest, err = keyenc.DecodeInt(pk); err == nil {
			text = strconv.FormatInt(n, 10)
			break
		}
		var u uint64
		u, rest, err = keyenc.DecodeUint(pk)
		text = strconv.FormatUint(u, 10)
	case keyenc.KindUUID:
		var id [16]byte
		id, rest, err = keyenc.DecodeUUID(pk)
		text = uuid.UUID(id).String()
	case keyenc.KindCustom:
		var b []byte
		b, rest, err = keyenc.DecodeCustom(pk)
		text = string(b)
	default:
		err = keyenc.ErrCorrupt
	}
	if err == nil && len(rest) > 0 {
		err = keyenc.ErrCorrupt
	}
	if err != nil {
		return "", fmt.Errorf("%w: primary key: %w", ErrCorrupt, err)
	}
	return text, nil
}
