package tito

import (
	"context"
	"fmt"
	"slices"

	"github.com/tito-db/tito-go/tito/internal/scan"
)

// Relation is a relation of records of type T to another table, made by One or
// Many: what Schema.Relations lists and what reads hydrate on request. A read
// that is given a relation which is not listed fails with ErrQuery, since a write
// would store the targets of such a relation with the record.
type Relation[T any] interface {
	relation() *relationShape
	clear(rec *T)
	check(db *DB) error
	loader(tx *Tx, recs []*T) (loader, error)
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

// loader hydrates one relation of some records, which the level above has read.
type loader interface {
	// ask adds the rows that the records refer to.
	ask(b *scan.Batch)

	// give decodes those rows, sets them in the records, and returns the loaders of
	// the relations that are nested in this one.
	give(b *scan.Batch) ([]loader, error)
}

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
// by all relations of the level. A row that several records refer to through one
// relation is decoded once, and they share it.
func hydrate[T any](ctx context.Context, tx *Tx, recs []*T, relations []Relation[T]) error {
	level, err := loaders(tx, recs, relations)
	if err != nil {
		return err
	}
	for len(level) > 0 {
		var rows scan.Batch
		for _, l := range level {
			l.ask(&rows)
		}
		if err := rows.Read(ctx, tx.kv); err != nil {
			return err
		}
		var next []loader
		for _, l := range level {
			nested, err := l.give(&rows)
			if err != nil {
				return err
			}
			next = append(next, nested...)
		}
		level = next
	}
	return nil
}

// loaders returns the loaders of relations of recs.
func loaders[T any](tx *Tx, recs []*T, relations []Relation[T]) ([]loader, error) {
	if len(recs) == 0 || len(relations) == 0 {
		return nil, nil
	}
	all := make([]loader, len(relations))
	for i, r := range relations {
		var err error
		if all[i], err = r.loader(tx, recs); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// related is a loader of rows of type U for records of type T.
type related[T, U any, UID comparable] struct {
	RelationTo[T, U, UID]
	tx     *Tx
	table  *Table[U, UID]
	prefix []byte // of the keys of its rows
	recs   []*T
	wanted []int // numbers of rows in the batch, for all records in turn
	counts []int // how many of wanted each record has
}

func (r RelationTo[T, U, UID]) loader(tx *Tx, recs []*T) (loader, error) {
	table, err := r.target(tx.db)
	if err != nil {
		return nil, err
	}
	b, err := table.bind(tx)
	if err != nil {
		return nil, err
	}
	return &related[T, U, UID]{RelationTo: r, tx: tx, table: table, prefix: b.Rows, recs: recs}, nil
}

func (l *related[T, U, UID]) ask(b *scan.Batch) {
	var zero UID
	var ids []UID
	l.counts = make([]int, len(l.recs))
	for i, rec := range l.recs {
		ids = l.ids(ids[:0], rec)
		for _, id := range ids {
			if id != zero {
				l.wanted = append(l.wanted, b.Add(l.table.id.encode(slices.Clip(l.prefix), id)))
				l.counts[i]++
			}
		}
	}
}

func (l *related[T, U, UID]) give(b *scan.Batch) ([]loader, error) {
	decoded := map[int]*U{} // by their numbers in the batch
	var loaded []*U
	wanted := l.wanted
	for i, rec := range l.recs {
		found := make([]*U, 0, l.counts[i])
		for _, n := range wanted[:l.counts[i]] {
			u := decoded[n]
			if u == nil {
				var err error
				if u, err = l.decode(b.Key(n)[len(l.prefix):], b.Value(n)); err != nil {
					return nil, fmt.Errorf("relation %q: %w", l.shape.name, err)
				}
				if u == nil {
					continue
				}
				decoded[n] = u
				loaded = append(loaded, u)
			}
			found = append(found, u)
		}
		wanted = wanted[l.counts[i]:]
		l.assign(rec, found)
	}
	return loaders(l.tx, loaded, l.children)
}

// decode makes a record of a row that was asked for, nil if there is no such row.
func (l *related[T, U, UID]) decode(pk, value []byte) (*U, error) {
	switch {
	case value != nil:
		return l.table.decode(pk, value)
	case l.strict:
		return nil, l.table.keyError(pk, ErrMissing)
	}
	return nil, nil
}
