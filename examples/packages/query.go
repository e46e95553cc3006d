package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"github.com/tito-db/tito-go/tito"
)

// printPage answers a query with one page of packages, a line each: name,
// version, section, size and maintainer, separated by tabs. If there are more,
// a last line has the cursor to go on from.
func printPage(ctx context.Context, out io.Writer, db *tito.DB, conditions []string, limit int, after string) error {
	q, err := newQuery(conditions)
	if err != nil {
		return err
	}
	page, err := q.With(packageMaintainer).Limit(limit).Cursor(after).Page(ctx, db)
	if err != nil {
		return err
	}
	for _, p := range page.Items {
		var maintainer string
		if p.Maintainer != nil {
			maintainer = p.Maintainer.Name
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%s\n", p.Name, p.Version, p.Section, p.Size, maintainer)
	}
	if page.Next != "" {
		fmt.Fprintf(out, "next: %s\n", page.Next)
	}
	return nil
}

// newQuery makes a query of conditions such as "section=games". One index
// answers it, so few of them go together. Without any it is all packages, by
// name.
func newQuery(conditions []string) (tito.Query[Package, string], error) {
	values := map[string]string{} // by "section="
	for _, c := range conditions {
		m := conditionPattern.FindStringSubmatch(c)
		if m == nil {
			return tito.Query[Package, string]{}, fmt.Errorf("%q is no condition, see -h; have > and * been quoted?", c)
		}
		if _, twice := values[m[1]]; twice {
			return tito.Query[Package, string]{}, fmt.Errorf("condition %s is given twice", m[1])
		}
		values[m[1]] = m[2]
	}
	switch len(values) {
	case 0:
		return packages.Scan(), nil
	case 1:
		for key, value := range values {
			c, err := condition(key, value)
			return packages.Where(c), err
		}
	case 2:
		if section, ok := values["section="]; ok {
			if text, ok := values["size>="]; ok {
				size, err := parseSize(text)
				return packages.Where(packageBySection.At(section).Ge(size)), err
			}
		}
	}
	return tito.Query[Package, string]{}, fmt.Errorf("no index serves these conditions together; only section= and size>= can be combined")
}

var conditionPattern = regexp.MustCompile(`^([a-z-]+(?:\^=|>=|=))(.*)$`)

// condition gives each single condition the index that serves it.
func condition(key, value string) (tito.Condition[Package], error) {
	switch key {
	case "name=":
		return packageByName.Eq(value), nil
	case "name^=":
		return packageByName.HasPrefix(value), nil
	case "section=":
		return packageBySection.At(value), nil
	case "size>=":
		size, err := parseSize(value)
		return packageBySize.Ge(size), err
	case "tag=":
		return packageByTag.Eq(value), nil
	case "maintainer=":
		return packageByMaintainer.Eq(value), nil
	case "maintainer^=":
		return packageByMaintainer.HasPrefix(value), nil
	case "depends-on=":
		return packageByDependency.Eq(value), nil
	case "homepage^=":
		return packageByHomepage.HasPrefix(value), nil
	}
	return packageByName, fmt.Errorf("there is no condition %s, see -h", key)
}

func parseSize(text string) (int64, error) {
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("size>=%s: not a number of bytes", text)
	}
	return size, nil
}
