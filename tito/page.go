package tito

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tito-db/tito-go/tito/internal/scan"
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
	err := q.run(ctx, r, func(tx *Tx, p *scan.Plan) error {
		recs, first, last, err := q.find(ctx, tx, p, size)
		if err != nil {
			return err
		}
		more := len(recs) > size
		if more {
			recs = recs[:size]
		}
		if p.Backward() { // the walk began at the page's end
			slices.Reverse(recs)
			first, last = last, first
		}
		page.Items = recs
		tx.db.turnPages(p, first, last, more, &page.Next, &page.Prev)
		return hydrate(ctx, tx, recs, q.with)
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// turnPages sets the cursors around a page, which begins and ends at entries with the
// keys first and last, nil if it is empty. Where the walk came from there is a page;
// where it leads there is one if it met more than the page.
func (db *DB) turnPages(p *scan.Plan, first, last []byte, more bool, next, prev *string) {
	back := p.Backward()
	switch {
	case first == nil && p.From == nil:
		return
	case first == nil && back:
		*next = db.formatCursor(p.From.Flipped(), p)
		return
	case first == nil:
		*prev = db.formatCursor(p.From.Flipped(), p)
		return
	}
	if more || back {
		*next = db.formatCursor(scan.Position{Key: last}, p)
	}
	if more && back || !back && p.From != nil {
		*prev = db.formatCursor(scan.Position{Key: first, Back: true}, p)
	}
}

// A cursor is, in URL-safe base64 without padding:
//
//	format      1 byte: 1, or 2 if signed
//	side        1 byte: 1 if back, plus 2 if inclusive; see scan.Position
//	query       8 bytes: scan.Plan.Fingerprint
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

// formatCursor returns the cursor of a position in the order of p.
func (db *DB) formatCursor(at scan.Position, p *scan.Plan) string {
	b := make([]byte, 2, cursorHead+len(at.Key)+cursorMAC)
	b[0] = cursorPlain
	if at.Back {
		b[1] |= cursorBack
	}
	if at.Inclusive {
		b[1] |= cursorInclusive
	}
	b = binary.BigEndian.AppendUint64(b, p.Fingerprint())
	b = append(b, at.Key...)
	if key := db.opts.CursorKey; len(key) > 0 {
		b[0] = cursorSigned
		b = append(b, sign(key, b)...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor reads a cursor that a query with the plan p gave out.
func (db *DB) parseCursor(cursor string, p *scan.Plan) (scan.Position, error) {
	longest := cursorHead + db.store.Info().Limits.MaxKeySize + cursorMAC
	if len(cursor) > base64.RawURLEncoding.EncodedLen(longest) {
		return scan.Position{}, ErrBadCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < cursorHead {
		return scan.Position{}, ErrBadCursor
	}
	format := byte(cursorPlain)
	if key := db.opts.CursorKey; len(key) > 0 {
		format = cursorSigned
		n := len(b) - cursorMAC
		if n < cursorHead || subtle.ConstantTimeCompare(b[n:], sign(key, b[:n])) == 0 {
			return scan.Position{}, fmt.Errorf("%w: signature", ErrBadCursor)
		}
		b = b[:n]
	}
	at := scan.Position{Key: b[cursorHead:], Back: b[1]&cursorBack != 0, Inclusive: b[1]&cursorInclusive != 0}
	switch {
	case b[0] != format || b[1] > cursorBack|cursorInclusive:
		return scan.Position{}, ErrBadCursor
	case binary.BigEndian.Uint64(b[2:]) != p.Fingerprint():
		return scan.Position{}, fmt.Errorf("%w: it belongs to another query", ErrBadCursor)
	case !p.Spans.Contains(at.Key):
		return scan.Position{}, fmt.Errorf("%w: it is outside the query's range", ErrBadCursor)
	}
	return at, nil
}

func sign(key, b []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(b)
	return mac.Sum(nil)[:cursorMAC]
}
