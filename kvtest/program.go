package kvtest

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// program is a list of calls on a few transactions that are open side by side.
// Every list of steps is a program: a step that addresses a transaction which is not
// open begins that transaction.
type program []step

// slots is how many transactions a program has open at most.
const slots = 3

// programSteps is how many steps a generated program has, with idle ones.
const programSteps = 48

// step is one call. What its arguments mean depends on the call, and every value of an
// argument means something.
type step struct {
	call    call
	slot    uint8
	a, b, c uint8
}

type call uint8

const (
	callIdle call = iota // what a shrunk program is full of
	callBegin
	callGet
	callHas
	callBatchGet
	callScan
	callOpenCursor
	callNext
	callSeek
	callSet
	callRemove
	callRemoveRange
	callLock
	callSavepoint
	callRollbackTo
	callCommit
	callRollback
	callWatermark
	callReopen
)

func (c call) String() string {
	return [...]string{"idle", "begin", "get", "has", "batch get", "scan", "cursor", "next", "seek", "set", "delete",
		"delete range", "lock", "savepoint", "rollback to", "commit", "rollback", "watermark", "reopen"}[c]
}

// calls are what steps are drawn from. A call that stands here more often is drawn
// more often. Only programs that say so reopen the store.
func calls(reopens bool) []call {
	var all []call
	for _, c := range []struct {
		call
		weight int
	}{
		{callIdle, 1}, {callSet, 8}, {callCommit, 6}, {callRemove, 3}, {callLock, 5}, {callGet, 2}, {callScan, 3},
		{callBegin, 4}, {callRollback, 2}, {callSavepoint, 3}, {callRollbackTo, 4}, {callNext, 3}, {callSeek, 3},
		{callOpenCursor, 1}, {callRemoveRange, 1}, {callBatchGet, 3}, {callHas, 3}, {callWatermark, 3},
	} {
		all = append(all, slices.Repeat([]call{c.call}, c.weight)...)
	}
	if reopens {
		all = append(all, callReopen)
	}
	return all
}

// programs draws programs. Each begins with something in the store.
func programs(reopens bool) *rapid.Generator[program] {
	from, arg := calls(reopens), rapid.Uint8Max(63)
	one := rapid.Custom(func(t *rapid.T) step {
		s := step{a: arg.Draw(t, "a"), b: arg.Draw(t, "b"), c: arg.Draw(t, "c"), slot: rapid.Uint8Max(slots-1).Draw(t, "slot")}
		// Rapid prefers small numbers, so that few kinds of calls would come
		// often. This spreads them, and all zeros is idle.
		mix := uint32(rapid.Uint8().Draw(t, "call"))<<18 | uint32(s.a)<<12 | uint32(s.b)<<6 | uint32(s.c)
		mix *= 0x9E3779B1
		mix = (mix ^ mix>>15) * 0x85EBCA6B
		s.call = from[int(mix>>8)%len(from)]
		return s
	})
	return rapid.Map(rapid.SliceOfN(one, programSteps, programSteps), func(steps []step) program {
		var p program
		for k := range uint8(5) {
			p = append(p, step{call: callSet, a: 2 * k})
		}
		return append(append(p, step{call: callCommit}), steps...)
	})
}

// decodeProgram makes a program of bytes, any bytes.
func decodeProgram(data []byte) program {
	const size = 5
	var p program
	from := calls(false)
	for ; len(data) >= size; data = data[size:] {
		p = append(p, step{from[int(data[0])%len(from)], data[1] % slots, data[2], data[3], data[4]})
	}
	return p
}

// String lists the steps that do something, with their numbers.
func (p program) String() string {
	var b strings.Builder
	for n, s := range p {
		if s.call != callIdle {
			fmt.Fprintf(&b, "%3d. %s\n", n, s)
		}
	}
	return b.String()
}

// GoString is for rapid, which prints what it draws.
func (p program) GoString() string { return "\n" + p.String() }

func (s step) String() string {
	text := fmt.Sprintf("t%d %s", s.slot, s.call)
	switch s.call {
	case callBegin:
		if s.readOnly() {
			return text + " read-only"
		}
	case callGet, callHas, callRemove:
		return fmt.Sprintf("%s %.20q", text, s.key())
	case callSet:
		return fmt.Sprintf("%s %.20q to %d bytes", text, s.key(), len(s.value(0)))
	case callBatchGet, callLock:
		return fmt.Sprintf("%s %.20q", text, s.keys())
	case callScan, callOpenCursor:
		r, o := s.walk()
		return fmt.Sprintf("%s %.20q to %.20q %+v", text, r.Start, r.End, *o)
	case callRemoveRange:
		r, _ := s.walk()
		return fmt.Sprintf("%s %.20q to %.20q", text, r.Start, r.End)
	case callNext:
		return fmt.Sprintf("%s, %d times", text, s.times())
	case callSeek:
		return fmt.Sprintf("%s %.20q", text, s.bound())
	case callRollbackTo:
		return fmt.Sprintf("%s number %d", text, s.a)
	}
	return text
}
