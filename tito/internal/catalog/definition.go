package catalog

// Table is the part of a program's declaration of a table that the store depends on.
type Table struct {
	Name    string
	IDKind  string
	Indexes []Index
}

// Index is the part of an index's declaration that the store depends on.
type Index struct {
	Name        string  `json:"name"`
	Fields      []Field `json:"fields"`
	Unique      bool    `json:"unique,omitempty"`
	Conditional bool    `json:"conditional,omitempty"`
	Version     uint32  `json:"version,omitempty"`
}

// Field is the shape of one field of an index.
type Field struct {
	Kind     string `json:"kind"`
	Desc     bool   `json:"desc,omitempty"`
	Nullable bool   `json:"nullable,omitempty"`
	Multi    bool   `json:"multi,omitempty"`
}

// String names the shape in error messages.
func (f Field) String() string {
	s := f.Kind
	for _, flag := range []struct {
		on   bool
		name string
	}{{f.Nullable, "nullable"}, {f.Multi, "multi-value"}, {f.Desc, "descending"}} {
		if flag.on {
			s = flag.name + " " + s
		}
	}
	return s
}
