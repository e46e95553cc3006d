package tito

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
)

// Page is a part of a query's result.
type Page[T any] struct {
	Items []*T

	// Next and Prev are cursors for Query.Cursor: to the page that follows and
	// the one before. Empty means that there is none. In the direction that the
	// page was reached from there is always a cursor, though the records there
	// may be gone by now, and then its page is empty. A cursor is opaque text,
	// safe in URLs, and outlives the process. It marks a position in the
	// index: records that are added or removed elsewhere do not make pages
	// skip or repeat others.
	Next, Prev string
}

// Page returns up to Limit records (default DefaultPageSize), and the cursors
// to go on from there. It costs one cursor that reads at most one entry more
// than the limit, one batch get, and one more for each level of relations.
func (q Query[T, ID]) Page(ctx context.Context, r Reader) (*Page[T], error) {
	size := q.limit
	if size == 0 {
		size = DefaultPageSize
	}
	q.limit = size + 1 // to know whether there are more
	page := &Page[T]{}
	err := q.run(ctx, r, func(s *search[T, ID]) error {
		var found []hit[T]
		if err := s.each(ctx, func(chunk []hit[T]) (bool, error) {
			found = append(found, chunk...)
			return true, nil
		}); err != nil {
			return err
		}
		more := len(found) > size
		if more {
			found = found[:size]
		}
		back := s.reverse != q.reverse // a page before a cursor is walked from its end
		if back {
			slices.Reverse(found)
		}
		page.Items = records(found)
		// Where the walk came from there is a page, where it goes if there is more.
		if n := len(found); n > 0 {
			if more || back {
				page.Next = q.cursor(s, place{key: found[n-1].key})
			}
			if more && back || !back && q.from != "" {
				page.Prev = q.cursor(s, place{key: found[0].key, back: true})
			}
		} else if back {
			page.Next = q.cursor(s, s.from.turned())
		} else if q.from != "" {
			page.Prev = q.cursor(s, s.from.turned())
		}
		return hydrate(ctx, s.tx, page.Items, q.with)
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// place is where a page begins: at one side of a position in the index.
type place struct {
	key       []byte // of an entry or row that is or was there, without the prefix
	back      bool   // the page is before the position, not after it
	inclusive bool   // what is at the position belongs to the page
}

// turned is the other side of the same position.
func (p place) turned() place { return place{p.key, !p.back, !p.inclusive} }

// cut returns what of the spans lies at p's side. The walk that leads away
// from the position goes in the direction of reverse.
func (p place) cut(spans []span, reverse bool) []span {
	border := p.key
	if reverse == p.inclusive {
		border = append(slices.Clip(border), 0) // the least key above
	}
	var rest []span
	for _, s := range spans {
		if reverse {
			if s.end == nil || bytes.Compare(border, s.end) < 0 {
				s.end = border
			}
		} else if bytes.Compare(border, s.start) > 0 {
			s.start = border
		}
		if !s.empty() {
			rest = append(rest, s)
		}
	}
	return rest
}

// A cursor is, in URL-safe base64 without padding:
//
//	format      1 byte: 1, or 2 if signed
//	side        1 byte: 1 if back, plus 2 if inclusive; see place
//	query       8 bytes: fingerprint of index, range and order
//	position    the key of an entry or row, without the prefix
//	signature   16 bytes, if signed: HMAC-SHA256 of all before, cut
const (
	cursorPlain  = 1
	cursorSigned = 2
	cursorHead   = 10
	cursorMAC    = 16

	cursorBack      = 1
	cursorInclusive = 2
)

func (q *Query[T, ID]) cursor(s *search[T, ID], p place) string {
	b := make([]byte, 2, cursorHead+len(p.key)+cursorMAC)
	b[0] = cursorPlain
	if p.back {
		b[1] |= cursorBack
	}
	if p.inclusive {
		b[1] |= cursorInclusive
	}
	b = binary.BigEndian.AppendUint64(b, q.fingerprint(s))
	b = append(b, p.key...)
	if key := s.tx.db.opts.CursorKey; len(key) > 0 {
		b[0] = cursorSigned
		b = append(b, sign(key, b)...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// open reads q's cursor.
func (q *Query[T, ID]) open(s *search[T, ID]) (place, error) {
	longest := cursorHead + s.tx.kv.Info().Limits.MaxKeySize + cursorMAC
	if len(q.from) > base64.RawURLEncoding.EncodedLen(longest) {
		return place{}, ErrBadCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.from)
	if err != nil || len(b) < cursorHead {
		return place{}, ErrBadCursor
	}
	format := byte(cursorPlain)
	if key := s.tx.db.opts.CursorKey; len(key) > 0 {
		format = cursorSigned
		n := len(b) - cursorMAC
		if n < cursorHead || subtle.ConstantTimeCompare(b[n:], sign(key, b[:n])) == 0 {
			return place{}, fmt.Errorf("%w: signature", ErrBadCursor)
		}
		b = b[:n]
	}
	position := b[cursorHead:]
	switch {
	case b[0] != format || b[1] > cursorBack|cursorInclusive:
		return place{}, ErrBadCursor
	case binary.BigEndian.Uint64(b[2:]) != q.fingerprint(s):
		return place{}, fmt.Errorf("%w: it belongs to another query", ErrBadCursor)
	case !q.cond.contains(position):
		return place{}, fmt.Errorf("%w: it is outside the query's range", ErrBadCursor)
	}
	return place{position, b[1]&cursorBack != 0, b[1]&cursorInclusive != 0}, nil
}

// fingerprint tells queries apart whose cursors must not be mixed up. Limit
// and relations may change from page to page.
func (q *Query[T, ID]) fingerprint(s *search[T, ID]) uint64 {
	h := fnv.New64a()
	put := func(b []byte) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	put(s.prefix)
	if q.cond.index != nil {
		put(binary.BigEndian.AppendUint32(nil, q.cond.index.opts.Version))
	}
	for _, sp := range q.cond.spans {
		put(sp.start)
		put(sp.end)
	}
	if q.reverse {
		put([]byte{1})
	}
	return h.Sum64()
}

func sign(key, b []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(b)
	return mac.Sum(nil)[:cursorMAC]
}
