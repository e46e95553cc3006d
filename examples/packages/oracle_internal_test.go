package main

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/tito"
)

// oracle answers the program's queries from the text of an index, by splitting
// strings. It shares no code with the program.
type oracle []stanza

type stanza struct {
	name, section, maintainer, homepage string
	size                                int
	tags, depends                       []string
}

var (
	oneLine      = regexp.MustCompile(`(?m)^([A-Za-z0-9-]+): (.*)$`)
	tagLines     = regexp.MustCompile(`(?m)^Tag: (.*(?:\n .*)*)$`)
	firstOfWords = regexp.MustCompile(`[^ :]+`)
)

// newOracle reads text, in which of several stanzas with one name the last counts.
func newOracle(t *testing.T, text string) oracle {
	t.Helper()
	byName := map[string]stanza{}
	for _, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if block == "" {
			continue
		}
		var s stanza
		for _, m := range oneLine.FindAllStringSubmatch(block, -1) {
			switch m[1] {
			case "Package":
				s.name = m[2]
			case "Section":
				s.section = m[2]
			case "Maintainer":
				s.maintainer = m[2]
			case "Homepage":
				s.homepage = m[2]
			case "Size":
				var err error
				s.size, err = strconv.Atoi(m[2])
				require.NoError(t, err)
			case "Depends", "Pre-Depends":
				for _, item := range strings.Split(m[2], ", ") {
					s.depends = append(s.depends, firstOfWords.FindString(item))
				}
			}
		}
		if m := tagLines.FindStringSubmatch(block); m != nil {
			for _, tag := range strings.Split(m[1], ",") {
				s.tags = append(s.tags, strings.TrimSpace(tag))
			}
		}
		s.depends = distinct(s.depends)
		byName[s.name] = s
	}
	var o oracle
	for _, s := range byName {
		o = append(o, s)
	}
	slices.SortFunc(o, func(a, b stanza) int { return cmp.Compare(a.name, b.name) })
	return o
}

func (o oracle) figures() (f figures) {
	maintainers := map[string]bool{}
	for _, s := range o {
		f.packages++
		f.dependencies += len(s.depends)
		if s.maintainer != "" {
			maintainers[s.maintainer] = true
		}
	}
	f.maintainers = len(maintainers)
	return f
}

// answer returns the names of the packages that meet the conditions, in the
// order in which a query gives them.
func (o oracle) answer(conditions ...string) []string {
	found := slices.Clone(o)
	for _, c := range conditions {
		key, value, _ := strings.Cut(c, "=")
		n, _ := strconv.Atoi(value)
		keep := map[string]func(stanza) bool{
			"name":        func(s stanza) bool { return s.name == value },
			"name^":       func(s stanza) bool { return strings.HasPrefix(s.name, value) },
			"section":     func(s stanza) bool { return s.section == value },
			"size>":       func(s stanza) bool { return s.size >= n },
			"tag":         func(s stanza) bool { return slices.Contains(s.tags, value) },
			"maintainer":  func(s stanza) bool { return s.maintainer == value },
			"maintainer^": func(s stanza) bool { return strings.HasPrefix(s.maintainer, value) },
			"depends-on":  func(s stanza) bool { return slices.Contains(s.depends, value) },
			"homepage^":   func(s stanza) bool { return s.homepage != "" && strings.HasPrefix(s.homepage, value) },
		}[key]
		found = slices.DeleteFunc(found, func(s stanza) bool { return !keep(s) })
		switch key {
		case "section", "size>":
			slices.SortStableFunc(found, func(a, b stanza) int { return cmp.Compare(b.size, a.size) })
		case "maintainer^":
			slices.SortStableFunc(found, func(a, b stanza) int { return cmp.Compare(a.maintainer, b.maintainer) })
		case "homepage^":
			slices.SortStableFunc(found, func(a, b stanza) int { return cmp.Compare(a.homepage, b.homepage) })
		}
	}
	names := make([]string, len(found))
	for i, s := range found {
		names[i] = s.name
	}
	return names
}

// queries lists conditions that between them meet every entry of every index,
// and some that meet none.
func (o oracle) queries() [][]string {
	all := [][]string{
		nil, {"name="}, {"name=no such"}, {"name^="}, {"name^=lib"}, {"name^=z-"}, {"size>=0"}, {"size>=100000"}, {"size>=999999999999"},
		{"section=none"}, {"tag="}, {"tag=role"}, {"depends-on=none"}, {"maintainer=Debian"}, {"maintainer^=Debian"}, {"maintainer^="},
		{"homepage^="}, {"homepage^=https://g"},
	}
	for _, s := range o {
		all = append(all, []string{"name=" + s.name}, []string{"section=" + s.section}, []string{"maintainer=" + s.maintainer},
			[]string{"section=" + s.section, "size>=" + strconv.Itoa(s.size)})
		for _, tag := range s.tags {
			all = append(all, []string{"tag=" + tag})
		}
		for _, name := range s.depends {
			all = append(all, []string{"depends-on=" + name})
		}
	}
	slices.SortFunc(all, slices.Compare[[]string])
	return slices.CompactFunc(all, slices.Equal[[]string])
}

// requireHolds checks that db holds what the index o was read from, whole and
// consistent: rows, the entries of all indexes, and relations.
func (o oracle) requireHolds(t *testing.T, db *tito.DB) {
	t.Helper()
	require.NoError(t, db.View(t.Context(), func(tx *tito.Tx) error {
		for _, conditions := range o.queries() {
			q, err := newQuery(conditions)
			require.NoError(t, err)
			names := []string{}
			for name, err := range q.IDs(t.Context(), tx) {
				require.NoError(t, err)
				names = append(names, name)
			}
			require.Equal(t, o.answer(conditions...), names, "%q", conditions)
		}
		i := 0
		for p, err := range packages.Scan().With(packageMaintainer, packageDependencies).All(t.Context(), tx) {
			require.NoError(t, err)
			want := o[i]
			i++
			require.Equal(t, want, stanza{p.Name, p.Section, p.MaintainerID, p.Homepage, int(p.Size), p.Tags, p.Depends})
			if want.maintainer == "" {
				require.Nil(t, p.Maintainer)
			} else {
				require.Equal(t, want.maintainer, p.Maintainer.ID)
			}
			var present, found []string
			for _, name := range want.depends {
				if len(o.answer("name="+name)) == 1 {
					present = append(present, name)
				}
			}
			for _, d := range p.Dependencies {
				found = append(found, d.Name)
			}
			require.Equal(t, present, found)
		}
		require.Len(t, o, i)
		return nil
	}))
	require.Zero(t, db.StaleEntries())
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
