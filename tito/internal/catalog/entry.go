package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/tito/internal/record"
)

// format is the version of what the catalogue's values look like.
const format = 1

// head is the catalogue's first entry.
type head struct {
	Format    int    `json:"format"`
	NextTable uint64 `json:"next_table"` // ids are never given again
}

// entry is what the catalogue keeps of one table.
type entry struct {
	ID        uint64        `json:"id"`
	NextIndex uint64        `json:"next_index"` // ids are never given again
	Name      string        `json:"name"`
	IDKind    string        `json:"id_kind"`
	Indexes   []storedIndex `json:"indexes"`
}

// storedIndex is what the catalogue keeps of one index.
type storedIndex struct {
	ID    uint64 `json:"id"`
	State string `json:"state"`
	Index
}

// stateReadable is the state of an index that has an entry for every row.
const stateReadable = "readable"

// errImpossible says that an entry has an id or a name that cannot have been given.
var errImpossible = errors.New("impossible name or id")

// parseHead reads the catalogue's head.
func parseHead(b []byte) (head, error) {
	var version struct{ Format int } // the rest may be of a format that this program does not know
	if err := json.Unmarshal(b, &version); err != nil {
		return head{}, fmt.Errorf("%w: head of the catalogue: %w", record.ErrCorrupt, err)
	}
	if version.Format > format {
		return head{}, fmt.Errorf("%w: the store's catalogue has format %d, this program knows %d; use the version of Tito that wrote it, or a newer one",
			record.ErrNewerFormat, version.Format, format)
	}
	var h head
	err := parse(b, &h)
	if err == nil && (h.Format != format || h.NextTable <= layout.CatalogTable) {
		err = errImpossible
	}
	if err != nil {
		return head{}, fmt.Errorf("%w: head of the catalogue: %w", record.ErrCorrupt, err)
	}
	return h, nil
}

// parseEntry reads the entry of the table with the name.
func parseEntry(b []byte, name string, h head) (*entry, error) {
	e := new(entry)
	err := parse(b, e)
	if err == nil && !e.valid(name, h) {
		err = errImpossible
	}
	if err != nil {
		return nil, fmt.Errorf("%w: catalogue, table %q: %w", record.ErrCorrupt, name, err)
	}
	return e, nil
}

// valid tells whether the ids are ones that were given, each once.
func (e *entry) valid(name string, h head) bool {
	if e.Name != name || e.ID <= layout.CatalogTable || e.ID >= h.NextTable {
		return false
	}
	ids, names := map[uint64]bool{}, map[string]bool{}
	for _, ix := range e.Indexes {
		if ix.ID == 0 || ix.ID >= e.NextIndex || ids[ix.ID] || names[ix.Name] {
			return false
		}
		ids[ix.ID], names[ix.Name] = true, true
	}
	return true
}

// parse reads one JSON value. It refuses fields that this program does not know,
// since it must not ignore what they say.
func parse(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
