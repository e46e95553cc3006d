package kvtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// modelRun is the reference: a map for each committed state, and for each
// commit the keys it wrote and locked, kept for ever. It says what a store has
// to say of each step.
type modelRun struct {
	open    [slots]*modelTxn
	state   map[string]string
	commits []modelCommit
	begun   int // transactions so far

	// servers: the store keeps its keys on several servers; see mayMeet.
	servers bool
	refused []*modelTxn

	// either is set by a commit whose outcome the contract leaves open.
	either bool
}

type modelCommit struct{ written, locked map[string]bool }

type modelTxn struct {
	readOnly   bool
	snapshot   map[string]string
	began      int               // commits before it
	number     int               // of the transaction, in the order in which they began
	own        map[string]string // "" for a delete
	locked     map[string]bool
	savepoints []*modelSavepoint
	cursor     *modelCursor
}

type modelSavepoint struct {
	own    map[string]string
	locked map[string]bool
	gone   bool
}

func newModelRun() *modelRun { return &modelRun{state: map[string]string{}} }

// do says what a step must come to. got is what came of the step on the store; it
// decides where the contract leaves the outcome open.
func (m *modelRun) do(number int, s step, got string) string {
	switch s.call {
	case callIdle:
		return ""
	case callWatermark:
		return "ok"
	case callReopen:
		m.open = [slots]*modelTxn{}
		return "ok"
	}
	t := m.open[s.slot]
	if t == nil {
		if s.call == callCommit || s.call == callRollback {
			return "not open"
		}
		t = &modelTxn{
			readOnly: s.readOnly(),
			snapshot: maps.Clone(m.state), began: len(m.commits),
			own: map[string]string{}, locked: map[string]bool{}, number: m.begun,
		}
		m.begun++
		m.open[s.slot] = t
		if s.call == callBegin {
			return "ok"
		}
	}
	switch s.call {
	case callBegin:
		return "open already"
	case callCommit:
		m.open[s.slot] = nil
		return m.commit(t, got)
	case callRollback:
		m.open[s.slot] = nil
		return "ok"
	case callGet, callHas, callBatchGet, callScan, callOpenCursor, callNext, callSeek:
		return t.read(s)
	}
	return t.write(number, s)
}

// commit is the rule of the first committer.
func (m *modelRun) commit(t *modelTxn, got string) string {
	if len(t.own) == 0 && len(t.locked) == 0 {
		return "ok, changed nothing"
	}
	conflict, bothLock := false, false
	for _, other := range m.commits[t.began:] {
		for k := range t.own {
			conflict = conflict || other.written[k] || other.locked[k]
		}
		for k := range t.locked {
			conflict = conflict || other.written[k]
			bothLock = bothLock || other.locked[k]
		}
	}
	m.either = !conflict && (bothLock || m.servers && slices.ContainsFunc(m.refused, t.mayMeet))
	if conflict || m.either && got == "conflict" {
		m.refused = append(m.refused, t)
		return "conflict"
	}
	c := modelCommit{map[string]bool{}, t.locked}
	m.state = maps.Clone(m.state)
	for k, v := range t.own {
		c.written[k] = true
		if v == "" {
			delete(m.state, k)
		} else {
			m.state[k] = v
		}
	}
	m.commits = append(m.commits, c)
	return "ok"
}

// mayMeet tells whether a refused transaction may stand in the way of t: it touched
// other keys beside one that t touches, and began after t. A store that keeps keys on
// several servers (TiKV's regions) asks these at the same time. If one server refuses,
// another may have marked its keys with the start of the refused transaction already,
// and the mark of its rollback conflicts with transactions that began before.
func (t *modelTxn) mayMeet(refused *modelTxn) bool {
	if refused.number < t.number || len(refused.own)+len(refused.locked) < 2 {
		return false
	}
	touches := func(k string) bool { _, wrote := refused.own[k]; return wrote || refused.locked[k] }
	for k := range t.own {
		if touches(k) {
			return true
		}
	}
	for k := range t.locked {
		if touches(k) {
			return true
		}
	}
	return false
}

// sees returns the snapshot under the transaction's own writes.
func (t *modelTxn) sees() map[string]string {
	all := maps.Clone(t.snapshot)
	for k, v := range t.own {
		if v == "" {
			delete(all, k)
		} else {
			all[k] = v
		}
	}
	return all
}

func (t *modelTxn) read(s step) string {
	sees := t.sees()
	switch s.call {
	case callGet:
		return shown(sees[string(s.key())])
	case callHas:
		return fmt.Sprint(sees[string(s.key())] != "")
	case callBatchGet:
		var all []string
		for _, k := range s.keys() {
			all = append(all, shown(sees[string(k)]))
		}
		return strings.Join(all, ", ")
	case callScan:
		var all []string
		for c := newModelCursor(sees, s); c.next(); {
			all = append(all, c.at(true))
		}
		return strings.Join(all, ", ")
	case callOpenCursor:
		t.cursor = newModelCursor(sees, s)
		return "ok"
	}
	if t.cursor == nil {
		t.cursor = newModelCursor(sees, step{})
	}
	if s.call == callSeek {
		return t.cursor.at(t.cursor.seek(string(s.bound())))
	}
	var all []string
	for range s.times() {
		all = append(all, t.cursor.at(t.cursor.next()))
	}
	return strings.Join(all, ", ")
}

func (t *modelTxn) write(number int, s step) string {
	if len(t.savepoints) < 2 && s.call == callRollbackTo {
		s.call = callSavepoint
	}
	if t.readOnly {
		return "read-only"
	}
	switch s.call {
	case callSet:
		t.own[string(s.key())] = string(s.value(number))
	case callRemove:
		t.own[string(s.key())] = ""
	case callRemoveRange:
		for _, k := range newModelCursor(t.sees(), step{a: s.a, b: s.b, c: s.c & 7}).keys {
			t.own[k] = ""
		}
	case callLock:
		for _, k := range s.keys() {
			t.locked[string(k)] = true
		}
	case callSavepoint:
		t.savepoints = append(t.savepoints, &modelSavepoint{own: maps.Clone(t.own), locked: maps.Clone(t.locked)})
	case callRollbackTo:
		at := int(s.a) % len(t.savepoints)
		sp := t.savepoints[at]
		if sp.gone {
			return "discarded savepoint"
		}
		t.own, t.locked = maps.Clone(sp.own), maps.Clone(sp.locked)
		for _, later := range t.savepoints[at+1:] {
			later.gone = true
		}
	}
	return "ok"
}

// modelCursor is a walk over a list of keys.
type modelCursor struct {
	sees     map[string]string
	keys     []string // in the direction of the walk
	reverse  bool
	keysOnly bool
	limited  bool
	left     int
	pos      int // of the present key; -1 before the first, len(keys) past the last
}

func newModelCursor(sees map[string]string, s step) *modelCursor {
	bounds, o := s.walk()
	c := &modelCursor{sees: sees, reverse: o.Reverse, keysOnly: o.KeysOnly, limited: o.Limit > 0, left: o.Limit, pos: -1}
	for _, k := range slices.Sorted(maps.Keys(sees)) {
		if k >= string(bounds.Start) && (bounds.End == nil || k < string(bounds.End)) {
			c.keys = append(c.keys, k)
		}
	}
	if o.Reverse {
		slices.Reverse(c.keys)
	}
	return c
}

func (c *modelCursor) next() bool {
	if c.limited && c.left == 0 || c.pos == len(c.keys) {
		return false
	}
	c.pos++
	return c.emit()
}

func (c *modelCursor) seek(key string) bool {
	if c.limited && c.left == 0 {
		return false
	}
	c.pos = 0
	for c.pos < len(c.keys) && before(c.keys[c.pos], key, c.reverse) {
		c.pos++
	}
	return c.emit()
}

func before(a, b string, reverse bool) bool {
	if reverse {
		return a > b
	}
	return a < b
}

func (c *modelCursor) emit() bool {
	if c.pos == len(c.keys) {
		return false
	}
	c.left--
	return true
}

func (c *modelCursor) at(ok bool) string {
	if !ok {
		return "end"
	}
	if c.keysOnly {
		return pairShown(c.keys[c.pos], "")
	}
	return pairShown(c.keys[c.pos], c.sees[c.keys[c.pos]])
}
