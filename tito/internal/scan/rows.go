package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// chunkSize is how many entries are looked at between two batch gets: enough to make
// round trips rare, few enough to hold in memory.
const chunkSize = 256

// RowError is a failure of the row with the primary key PK.
type RowError struct {
	PK  []byte
	Err error
}

func (e *RowError) Error() string { return "a row: " + e.Err.Error() }

// Unwrap returns the failure itself.
func (e *RowError) Unwrap() error { return e.Err }

// Source is where a Plan is carried out.
type Source struct {
	Txn    *kv.Txn
	Strict bool           // a stale entry is an error, not skipped
	Stale  *atomic.Uint64 // counts the stale entries that were skipped
}

// Rows is the rows that a Plan finds, in its order, in chunks. A caller calls Start
// on the zero value, and Close at the end.
type Rows struct {
	src    Source
	plan   *Plan
	stream Stream
	state  rowsState
	size   int // of the next chunk
	left   int // how many rows the Limit still allows, if there is one
	chunk  []Entry
}

type rowsState uint8

const (
	rowsNew  rowsState = iota // the walk has not begun
	rowsOpen                  // stream is open
	rowsDone                  // no row is left
)

// Start prepares to find the rows of p, which stays as it is until the Close that the
// caller owes.
func (r *Rows) Start(src Source, p *Plan) {
	*r = Rows{src: src, plan: p, left: p.Limit, size: firstChunk(p)}
}

// firstChunk returns how many entries a walk of p reads at first.
func firstChunk(p *Plan) int {
	if p.Limit > 0 {
		return min(chunkSize, p.Limit)
	}
	return chunkSize
}

// Close ends the walk. It may be called more than once.
func (r *Rows) Close() {
	r.stream.Close()
	r.state = rowsDone
}

// Next returns the next rows, up to a chunk of them, and none at the end: entries that
// have their row. The slice is valid until the next call, the bytes of the entries for
// as long as they are held.
func (r *Rows) Next(ctx context.Context) ([]Entry, error) {
	for r.state != rowsDone {
		entries, err := r.read(ctx)
		if err != nil {
			return nil, err
		}
		found, err := r.fetch(ctx, entries)
		if err != nil {
			return nil, err
		}
		if r.plan.Limit > 0 {
			if len(found) >= r.left {
				found, r.state = found[:r.left], rowsDone
			}
			r.left -= len(found)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// read returns the next chunk of entries.
func (r *Rows) read(ctx context.Context) ([]Entry, error) {
	if r.state == rowsNew {
		if r.plan.oneValue() {
			r.state = rowsDone
			return r.lookUp(ctx)
		}
		if err := r.stream.open(ctx, r.src.Txn, r.plan, false, r.size); err != nil {
			return nil, err
		}
		r.state = rowsOpen
		if r.plan.Limit > 0 { // a fair guess of how many there will be
			r.chunk = make([]Entry, 0, r.size)
		}
	}
	chunk, err := r.stream.Fill(ctx, r.chunk[:0], r.size)
	if err != nil {
		return nil, err
	}
	if len(chunk) < r.size {
		r.state = rowsDone
	}
	r.chunk = chunk
	r.size = min(2*r.size, chunkSize) // if there is a next one, rows had several entries
	return chunk, nil
}

// lookUp returns the entry of a Plan for one value of a unique index.
func (r *Rows) lookUp(ctx context.Context) ([]Entry, error) {
	values := r.plan.Spans.First().Start
	pk, err := r.src.Txn.Get(ctx, slices.Concat(r.plan.Index.Prefix, values))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []Entry{{Key: values, Values: values, PK: pk}}, nil
}

// fetch reads the rows of entries with one batch get, and returns the entries at which
// a row is to be given: not those that their row does not have, and of several entries
// of one row only the first. It reuses the memory of entries.
func (r *Rows) fetch(ctx context.Context, entries []Entry) ([]Entry, error) {
	if r.plan.Index == nil || len(entries) == 0 { // the entries are the rows
		return entries, nil
	}
	prefix := r.plan.Layout.Rows
	keys := make([][]byte, 0, len(entries))
	var at []int            // each entry's row in keys; nil: its own number
	var seen map[string]int // the same, by primary key
	if r.plan.Repeats {
		at, seen = make([]int, len(entries)), make(map[string]int, len(entries))
	}
	buf := make([]byte, 0, len(entries)*(len(prefix)+len(entries[0].PK)))
	for i := range entries {
		if seen != nil {
			first, ok := seen[string(entries[i].PK)]
			if !ok {
				first = len(keys)
				seen[string(entries[i].PK)] = first
			}
			if at[i] = first; ok {
				continue
			}
		}
		n := len(buf)
		buf = append(append(buf, prefix...), entries[i].PK...)
		keys = append(keys, buf[n:len(buf):len(buf)])
	}
	values, err := r.get(ctx, keys)
	if err != nil {
		return nil, err
	}
	kept := entries[:0]
	var stale []Entry
	for i, e := range entries {
		if at != nil {
			e.Row = values[at[i]]
		} else {
			e.Row = values[i]
		}
		has, first, err := r.matchRow(&e)
		if err != nil {
			return nil, &RowError{e.PK, err}
		}
		switch {
		case !has:
			stale = append(stale, e)
		case first:
			kept = append(kept, e)
		}
	}
	if len(stale) > 0 {
		return kept, r.reportStale(ctx, stale)
	}
	return kept, nil
}

// get is a batch get, but for one key a plain one, which drivers do with less.
func (r *Rows) get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if len(keys) != 1 {
		return r.src.Txn.BatchGet(ctx, keys)
	}
	v, err := r.src.Txn.Get(ctx, keys[0])
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	return [][]byte{v}, nil
}

// matchRow tells whether the row of e has the entry, and whether that is the first one
// of the row, in the order of the Plan, that the Plan matches.
func (r *Rows) matchRow(e *Entry) (has, first bool, err error) {
	if e.Row == nil {
		return false, false, nil
	}
	h, _, err := record.ParseRow(e.Row)
	if err != nil {
		return false, false, err
	}
	first = true
	list := h.Entries
	for own, ok := list.Next(); ok; own, ok = list.Next() {
		if own.Index != r.plan.Index.ID {
			continue
		}
		order := bytes.Compare(own.Values, e.Values)
		switch {
		case order == 0:
			has = true
		case r.plan.Repeats && first && (order < 0) != r.plan.Reverse:
			first = !r.plan.Spans.Contains(own.Values)
		}
	}
	return has, first, nil
}

// reportStale counts entries that their rows do not have, or fails if the Source is
// strict. An entry that the transaction does not see any more is none: the walk sees
// entries as of its beginning, and its caller may have written since. Nor is the entry
// of a unique value that another row has by now.
func (r *Rows) reportStale(ctx context.Context, entries []Entry) error {
	keys := make([][]byte, len(entries))
	for i, e := range entries {
		keys[i] = slices.Concat(r.plan.Index.Prefix, e.Key)
	}
	values, err := r.get(ctx, keys)
	if err != nil {
		return err
	}
	for i, v := range values {
		if v == nil || !record.IsNoValue(v) && !bytes.Equal(v, entries[i].PK) {
			continue
		}
		if r.src.Strict {
			return &RowError{entries[i].PK, fmt.Errorf("%w: index %q has an entry that the row does not have", record.ErrCorrupt, r.plan.Index.Name)}
		}
		r.src.Stale.Add(1)
	}
	return nil
}
