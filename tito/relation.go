package tito

import (
	"context"
	"fmt"
	"slices"
)

// Relation is a relation of records of type T to another table, made by One or
// Many: what Schema.Relations lists and what reads hydrate on request. A read
// that is given a relation which is not listed fails with ErrQuery: targets of
// it would be stored with the records.
type Relation[T any] interface {
	relation() *relationShape
	clear(rec *T)
	check(db *DB) error
	collect(tx *Tx, f *fetch, recs []*T) (fill, error)
}

// Relations lists the relations of a Schema.
func Relations[T any](all ...Relation[T]) []Relation[T] { return all }

type relationShape struct {
	name, target string
	accepts      func(AnyTable) bool // whether a table has the relation's types
}

// RelationTo is a relation from records of type T to rows of type U by their ids.
type RelationTo[T, U any, UID comparable] struct {
	shape    *relationShape
	ids      func(dst []UID, rec *T) []UID
	assign   func(rec *T, found []*U)
	children []Relation[U]
	strict   bool
}

// One defines a relation to at most one row. id returns where the record keeps
// the id of the other row; nil or a zero id means none. set is called with the
// row, or nil if there is none.
//
//	tito.One("team", teams, func(u *User) *int64 { return &u.TeamID }, func(u *User, t *Team) { u.Team = t })
func One[T, U any, UID comparable](name string, target Name[U, UID], id func(*T) *UID, set func(*T, *U)) RelationTo[T, U, UID] {
	if id == nil || set == nil {
		return RelationTo[T, U, UID]{} // which Open reports
	}
	return RelationTo[T, U, UID]{
		shape: newRelationShape(name, target),
		ids: func(dst []UID, rec *T) []UID {
			if p := id(rec); p != nil {
				dst = append(dst, *p)
			}
			return dst
		},
		assign: func(rec *T, found []*U) {
			if len(found) == 0 {
				set(rec, nil)
			} else {
				set(rec, found[0])
			}
		},
	}
}

// Many defines a relation to a list of rows. ids returns the ids that the
// record keeps; set is called with the rows in that order, without those that
// do not exist. Zero ids are left out too.
func Many[T, U any, UID comparable](name string, target Name[U, UID], ids func(*T) []UID, set func(*T, []*U)) RelationTo[T, U, UID] {
	if ids == nil || set == nil {
		return RelationTo[T, U, UID]{} // which Open reports
	}
	return RelationTo[T, U, UID]{
		shape:  newRelationShape(name, target),
		ids:    func(dst []UID, rec *T) []UID { return append(dst, ids(rec)...) },
		assign: set,
	}
}

func newRelationShape[U any, UID comparable](name string, target Name[U, UID]) *relationShape {
	return &relationShape{name: name, target: string(target), accepts: func(t AnyTable) bool {
		_, ok := t.(*Table[U, UID])
		return ok
	}}
}

// With returns the relation with relations of its target to hydrate as well.
func (r RelationTo[T, U, UID]) With(children ...Relation[U]) RelationTo[T, U, UID] {
	r.children = append(r.children[:len(r.children):len(r.children)], children...)
	return r
}

// Strict returns the relation such that reads fail with ErrMissing if a row
// that a record refers to does not exist.
func (r RelationTo[T, U, UID]) Strict() RelationTo[T, U, UID] {
	r.strict = true
	return r
}

func (r RelationTo[T, U, UID]) relation() *relationShape { return r.shape }

func (r RelationTo[T, U, UID]) clear(rec *T) { r.assign(rec, nil) }

// fetch is one batch of rows, of several tables, each wanted once.
type fetch struct {
	keys [][]byte
	at   map[string]int
}

func (f *fetch) add(key []byte) int {
	i, ok := f.at[string(key)]
	if !ok {
		i = len(f.keys)
		f.keys = append(f.keys, key)
		f.at[string(key)] = i
	}
	return i
}

// fill gives the fetched values to the records that wanted them, and returns
// what is to be fetched for the next level.
type fill func(values [][]byte) ([]task, error)

// task asks for the rows of one relation of some records.
type task func(f *fetch) (fill, error)

// checkWith fails unless all relations, and those nested in them, are
// listed by their tables, each once.
func (t *Table[T, ID]) checkWith(db *DB, relations []Relation[T]) error {
	for i, r := range relations {
		if r == nil || r.relation() == nil {
			return fmt.Errorf("%w: table %q: a relation was not made by tito.One or tito.Many", ErrQuery, t.name)
		}
		is := func(o Relation[T]) bool { return o.relation() == r.relation() }
		if !slices.ContainsFunc(t.schema.Relations, is) {
			return fmt.Errorf("%w: relation %q is not listed in the schema of table %q", ErrQuery, r.relation().name, t.name)
		}
		if slices.ContainsFunc(relations[:i], is) {
			return fmt.Errorf("%w: relation %q of table %q is given twice; nest all of its relations in one", ErrQuery, r.relation().name, t.name)
		}
		if err := r.check(db); err != nil {
			return err
		}
	}
	return nil
}

// target returns the table that r leads to.
func (r RelationTo[T, U, UID]) target(db *DB) (*Table[U, UID], error) {
	target, ok := db.byName[r.shape.target].(*Table[U, UID])
	if !ok {
		return nil, fmt.Errorf("%w: %q, target of relation %q", ErrNotRegistered, r.shape.target, r.shape.name)
	}
	return target, nil
}

func (r RelationTo[T, U, UID]) check(db *DB) error {
	target, err := r.target(db)
	if err != nil || len(r.children) == 0 {
		return err
	}
	return target.checkWith(db, r.children)
}

// hydrate loads relations of recs, with one batch get for each level, shared
// by all relations of the level. A row that several records refer to is
// decoded once, and they share it.
func hydrate[T any](ctx context.Context, tx *Tx, recs []*T, relations []Relation[T]) error {
	level := tasks(tx, recs, relations)
	for len(level) > 0 {
		f := fetch{at: map[string]int{}}
		fills := make([]fill, len(level))
		for i, t := range level {
			var err error
			if fills[i], err = t(&f); err != nil {
				return err
			}
		}
		var values [][]byte
		if len(f.keys) > 0 {
			var err error
			if values, err = tx.kv.BatchGet(ctx, f.keys); err != nil {
				return err
			}
		}
		level = level[:0]
		for _, fill := range fills {
			next, err := fill(values)
			if err != nil {
				return err
			}
			level = append(level, next...)
		}
	}
	return nil
}

func tasks[T any](tx *Tx, recs []*T, relations []Relation[T]) []task {
	if len(recs) == 0 {
		return nil
	}
	all := make([]task, len(relations))
	for i, r := range relations {
		all[i] = func(f *fetch) (fill, error) { return r.collect(tx, f, recs) }
	}
	return all
}

func (r RelationTo[T, U, UID]) collect(tx *Tx, f *fetch, recs []*T) (fill, error) {
	target, err := r.target(tx.db)
	if err != nil {
		return nil, err
	}
	b, err := target.bind(tx)
	if err != nil {
		return nil, err
	}
	var (
		zero   UID
		ids    []UID
		wanted []int                    // positions in the fetch, for all records in turn
		counts = make([]int, len(recs)) // how many of them each record has
	)
	for i, rec := range recs {
		ids = r.ids(ids[:0], rec)
		for _, id := range ids {
			if id != zero {
				wanted = append(wanted, f.add(target.id.encode(b.Rows[:len(b.Rows):len(b.Rows)], id)))
				counts[i]++
			}
		}
	}
	return func(values [][]byte) ([]task, error) {
		decoded := map[int]*U{}
		var loaded []*U
		for i, rec := range recs {
			found := make([]*U, 0, counts[i])
			for _, at := range wanted[:counts[i]] {
				pk := f.keys[at][len(b.Rows):]
				u := decoded[at]
				if u == nil && values[at] != nil {
					var err error
					if u, err = target.decode(pk, values[at]); err != nil {
						return nil, fmt.Errorf("relation %q: %w", r.shape.name, err)
					}
					decoded[at] = u
					loaded = append(loaded, u)
				}
				if u != nil {
					found = append(found, u)
				} else if r.strict {
					return nil, fmt.Errorf("relation %q: %w", r.shape.name, target.keyError(pk, ErrMissing))
				}
			}
			wanted = wanted[counts[i]:]
			r.assign(rec, found)
		}
		return tasks(tx, loaded, r.children), nil
	}, nil
}
