package main

import (
	"strings"

	"github.com/tito-db/tito-go/tito"
)

// Package is one package of the index. What it refers to is in Maintainer and
// Dependencies when a read asks for it.
type Package struct {
	Name         string   // the id
	Version      string   `json:",omitempty"`
	Architecture string   `json:",omitempty"`
	Section      string   `json:",omitempty"`
	Size         int64    `json:",omitempty"` // of the .deb file in bytes; 0 if the index does not tell
	MaintainerID string   `json:",omitempty"`
	Homepage     string   `json:",omitempty"`
	Description  string   `json:",omitempty"`
	Tags         []string `json:",omitempty"` // ascending, distinct
	Depends      []string `json:",omitempty"` // names of packages, likewise; some are of virtual ones

	Maintainer   *Maintainer `json:"-"`
	Dependencies []*Package  `json:"-"`
}

// Maintainer is a person or team. Its id is the Maintainer field as it stands:
// "Name <address>".
type Maintainer struct {
	ID    string
	Name  string
	Email string `json:",omitempty"`
}

// newMaintainer takes a Maintainer field apart.
func newMaintainer(field string) *Maintainer {
	name, email, _ := strings.Cut(field, "<")
	return &Maintainer{ID: field, Name: strings.TrimSpace(name), Email: strings.TrimSuffix(email, ">")}
}

// Section says how many packages are of a section, counted from their events.
// Its id is a slash and the section, since an id is not empty, and some packages
// have no section.
type Section struct {
	ID       string
	Packages int
}

func sectionID(name string) string { return "/" + name }

// Name returns the section as packages have it.
func (s *Section) Name() string { return strings.TrimPrefix(s.ID, "/") }

const (
	packageTable    tito.Name[Package, string]    = "packages"
	maintainerTable tito.Name[Maintainer, string] = "maintainers"
	sectionTable    tito.Name[Section, string]    = "sections"
)

// packageTopic has an event of each write of a package; see count.go.
const packageTopic = "package"

var (
	packageByName       = tito.Index("by_name", tito.String(packageName), &tito.IndexOptions[Package]{Unique: true})
	packageByMaintainer = tito.Index("by_maintainer", tito.String(packageMaintainerID), nil)
	packageBySize       = tito.Index("by_size", tito.Int(packageSize).Desc(), nil)

	// Composite: by section, within it the largest first.
	packageBySection = tito.Index2("by_section_and_size",
		tito.String(func(p *Package) string { return p.Section }),
		tito.Int(packageSize).Desc(), nil)

	// Multi-value: a package has an entry for each of its tags, and for each
	// package it depends on; the latter are the reverse dependencies.
	packageByTag        = tito.Index("by_tag", tito.Strings(func(p *Package) []string { return p.Tags }), nil)
	packageByDependency = tito.Index("by_dependency", tito.Strings(packageDepends), nil)

	// Conditional: only packages with a homepage have an entry.
	packageByHomepage = tito.Index("by_homepage",
		tito.String(func(p *Package) string { return p.Homepage }),
		&tito.IndexOptions[Package]{When: func(p *Package) bool { return p.Homepage != "" }})

	packageMaintainer = tito.One("maintainer", maintainerTable,
		func(p *Package) *string { return &p.MaintainerID },
		func(p *Package, m *Maintainer) { p.Maintainer = m })

	packageDependencies = tito.Many("dependencies", packageTable,
		packageDepends,
		func(p *Package, ps []*Package) { p.Dependencies = ps })

	packages = tito.Define(tito.Schema[Package, string]{
		Table: packageTable,
		ID:    tito.StringID(func(p *Package) *string { return &p.Name }).Generate(nil),
		Indexes: tito.Indexes(packageByName, packageByMaintainer, packageBySize, packageBySection,
			packageByTag, packageByDependency, packageByHomepage),
		Relations: tito.Relations(packageMaintainer, packageDependencies),
		Events:    []tito.Event[Package]{{Topic: packageTopic, Before: true, After: true}},
	})

	maintainers = tito.Define(tito.Schema[Maintainer, string]{
		Table: maintainerTable,
		ID:    tito.StringID(func(m *Maintainer) *string { return &m.ID }).Generate(nil),
	})

	sections = tito.Define(tito.Schema[Section, string]{
		Table: sectionTable,
		ID:    tito.StringID(func(s *Section) *string { return &s.ID }).Generate(nil),
	})
)

func packageName(p *Package) string         { return p.Name }
func packageMaintainerID(p *Package) string { return p.MaintainerID }
func packageSize(p *Package) int64          { return p.Size }
func packageDepends(p *Package) []string    { return p.Depends }
