// Package scan finds rows: it walks the entries of an index, or the rows of a table,
// and reads the rows behind the entries. It knows no model. Package tito makes a
// Plan of a query, and decodes the rows that a walk of the Plan gives.
//
// A query goes through four steps, one file each:
//
//	span.go      which keys match: spans, and sets of spans
//	plan.go      what is asked: a Plan, with the order of its answer
//	position.go  where a page begins or ends in that order
//	stream.go    the matching entries in order: a Stream, which is pulled
//	rows.go      the rows behind them: Rows reads those of a chunk with one batch get,
//	             and skips stale entries
//	keys.go      their primary keys alone
//
// batch.go is the reading of rows whose keys are known, as relations need it.
//
// A Stream is of one index. Streams of several indexes that have one order are to be
// merged here too: merge.go is where their union and their intersection will stand,
// which call Next and Seek of the Streams beneath. A Plan over one index stays as it
// is then: Rows fills its chunks from the Stream itself, since a call through an
// interface for each entry costs a quarter of a walk on the memory store.
package scan
