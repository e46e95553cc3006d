package tito

import (
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

	// Next and Prev are cursors for Query.After: to the page that follows and
	// the one before. Empty means that there is none. A cursor is opaque text,
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
		if n := len(found); n > 0 {
			// Where the walk came from there is a page, where it goes if there is more.
			if more || back {
				page.Next = q.cursor(s, found[n-1].key, false)
			}
			if more && back || !back && q.after != "" {
				page.Prev = q.cursor(s, found[0].key, true)
			}
		}
		return hydrate(ctx, s.tx, page.Items, q.with)
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// A cursor is, in URL-safe base64 without padding:
//
//	format      1 byte: 1, or 2 if signed
//	direction   1 byte: 0 the records after the position, 1 those before
//	query       8 bytes: fingerprint of index, range and order
//	position    an entry's key without the index's prefix
//	signature   16 bytes, if signed: HMAC-SHA256 of all before, cut
const (
	cursorPlain  = 1
	cursorSigned = 2
	cursorHead   = 10
	cursorMAC    = 16
)

func (q *Query[T, ID]) cursor(s *search[T, ID], position []byte, back bool) string {
	b := make([]byte, 2, cursorHead+len(position)+cursorMAC)
	b[0] = cursorPlain
	if back {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, q.fingerprint(s))
	b = append(b, position...)
	if key := s.tx.db.opts.CursorKey; len(key) > 0 {
		b[0] = cursorSigned
		b = append(b, sign(key, b)...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// open reads q's cursor: its position, and whether it goes back from there.
func (q *Query[T, ID]) open(s *search[T, ID]) (position []byte, back bool, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.after)
	if err != nil || len(b) < cursorHead {
		return nil, false, ErrBadCursor
	}
	format := byte(cursorPlain)
	if key := s.tx.db.opts.CursorKey; len(key) > 0 {
		format = cursorSigned
		n := len(b) - cursorMAC
		if n < cursorHead || subtle.ConstantTimeCompare(b[n:], sign(key, b[:n])) == 0 {
			return nil, false, fmt.Errorf("%w: signature", ErrBadCursor)
		}
		b = b[:n]
	}
	position = b[cursorHead:]
	switch {
	case b[0] != format || b[1] > 1:
		return nil, false, ErrBadCursor
	case binary.BigEndian.Uint64(b[2:]) != q.fingerprint(s):
		return nil, false, fmt.Errorf("%w: it belongs to another query", ErrBadCursor)
	case !slices.ContainsFunc(q.cond.spans, func(sp span) bool { return sp.contains(position) }):
		return nil, false, fmt.Errorf("%w: it is outside the query's range", ErrBadCursor)
	}
	return position, b[1] == 1, nil
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
