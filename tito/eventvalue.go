package tito

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/queue"
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
//	  codec id          1 byte
//	  schema version    uvarint
//	  revision          uvarint
//	  created           varint, Unix nanoseconds
//	  updated - created uvarint, nanoseconds
//	  record            uvarint length, bytes
type eventValue struct {
	operation     Operation
	namespace     string
	table         string
	pk            []byte
	before, after *image
}

// image is a row's record in an event, and the part of its header that reading
// it takes.
type image struct {
	header rowHeader
	record []byte
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

// appendEvent appends the payload of an event. before and after are values of
// the row, nil for an image that the event has not.
func appendEvent(dst []byte, op Operation, table string, pk, before, after []byte) ([]byte, error) {
	dst = append(dst, spaceTito, eventFormat, byte(op))
	dst = appendSized(dst, "") // the default namespace
	dst = appendSized(dst, table)
	dst = appendSized(dst, pk)
	var images byte
	if before != nil {
		images |= hasBefore
	}
	if after != nil {
		images |= hasAfter
	}
	dst = append(dst, images)
	for _, value := range [...][]byte{before, after} {
		if value == nil {
			continue
		}
		h, record, err := parseRow(value)
		if err != nil {
			return nil, err
		}
		created := h.meta.Created.UnixNano()
		dst = append(dst, h.codec)
		dst = binary.AppendUvarint(dst, h.schema)
		dst = binary.AppendUvarint(dst, h.meta.Revision)
		dst = binary.AppendVarint(dst, created)
		dst = binary.AppendUvarint(dst, uint64(h.meta.Updated.UnixNano()-created))
		dst = appendSized(dst, record)
	}
	return dst, nil
}

func appendSized[B ~string | ~[]byte](dst []byte, b B) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// parseEvent reads a payload. The result aliases it.
func parseEvent(ev *queue.Event) (v eventValue, err error) {
	if ev == nil || len(ev.Payload) == 0 || ev.Payload[0] != spaceTito {
		return v, fmt.Errorf("%w: not of a table", ErrEvent)
	}
	r := rowReader{b: ev.Payload[1:]}
	if format := r.byte(); format != eventFormat && !r.bad {
		return v, fmt.Errorf("%w: event format %d is not known", ErrCorrupt, format)
	}
	v.operation = Operation(r.byte())
	v.namespace = string(r.bytes(r.uvarint()))
	v.table = string(r.bytes(r.uvarint()))
	v.pk = r.bytes(r.uvarint())
	images := r.byte()
	if images&hasBefore != 0 {
		v.before = readImage(&r)
	}
	if images&hasAfter != 0 {
		v.after = readImage(&r)
	}
	switch {
	case r.bad, len(r.b) > 0, images > hasBefore|hasAfter,
		v.operation < OpInsert, v.operation > OpDelete,
		v.operation == OpInsert && v.before != nil,
		v.operation == OpDelete && v.after != nil:
		return eventValue{}, fmt.Errorf("%w: event", ErrCorrupt)
	}
	return v, nil
}

func readImage(r *rowReader) *image {
	var i image
	i.header.codec = r.byte()
	i.header.schema = r.uvarint()
	i.header.meta.Revision = r.uvarint()
	created := r.varint()
	updated := created + int64(r.uvarint())
	i.header.meta.Created, i.header.meta.Updated = time.Unix(0, created).UTC(), time.Unix(0, updated).UTC()
	i.record = r.bytes(r.uvarint())
	if i.header.schema > math.MaxUint32 {
		r.fail()
	}
	return &i
}

func (i *image) public() *Image {
	if i == nil {
		return nil
	}
	return &Image{Codec: i.header.codec, Version: uint32(i.header.schema), Meta: i.header.meta, Record: i.record}
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
