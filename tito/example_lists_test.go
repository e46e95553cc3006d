package tito_test

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"time"

	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

// Issue is what a list view shows, newest first, with filters.
type Issue struct {
	ID       string
	State    string
	Assignee string
	Labels   []string
	Opened   time.Time
}

// filter is what a user of the list has chosen; an empty field is no choice.
type filter struct{ State, Assignee, Label string }

// facet returns the filter as text, the same for equal filters alone.
func (f filter) facet() string {
	return url.Values{"state": {f.State}, "assignee": {f.Assignee}, "label": {f.Label}}.Encode()
}

// facets returns the text of every filter that finds the issue. Equal ones may
// come several times: the index folds them.
func facets(t *Issue) []string {
	var all []string
	for _, state := range []string{"", t.State} {
		for _, assignee := range []string{"", t.Assignee} {
			for _, label := range append([]string{""}, t.Labels...) {
				all = append(all, filter{state, assignee, label}.facet())
			}
		}
	}
	return all
}

// newest orders by time, newest first: the last field of each index of the list.
var newest = tito.Time(func(t *Issue) time.Time { return t.Opened }).Desc()

var (
	// One index for each combination of filters that the list offers.
	issueByState    = tito.Index2("state", tito.String(func(t *Issue) string { return t.State }), newest, nil)
	issueByAssignee = tito.Index3("assignee_and_state",
		tito.String(func(t *Issue) string { return t.Assignee }),
		tito.String(func(t *Issue) string { return t.State }), newest, nil)

	// One index for all combinations: an entry for each that finds the issue.
	issueByFacet = tito.Index2("facet", tito.Strings(facets), newest, nil)

	issues = tito.Define(tito.Schema[Issue, string]{
		Table:   "issues",
		ID:      tito.StringID(func(t *Issue) *string { return &t.ID }),
		Indexes: tito.Indexes(issueByState, issueByAssignee, issueByFacet),
	})
)

// helpdesk opens a database with a few issues.
func helpdesk(ctx context.Context) *tito.DB {
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	db, err := tito.Open(ctx, store, nil, issues)
	if err != nil {
		log.Fatal(err)
	}
	day := func(n int) time.Time { return time.Date(2026, 5, n, 0, 0, 0, 0, time.UTC) }
	err = db.Update(ctx, func(tx *tito.Tx) error {
		_, err := issues.CreateMany(ctx, tx, []*Issue{
			{"t1", "open", "ada", []string{"bug"}, day(1)},
			{"t2", "done", "ada", []string{"bug", "urgent"}, day(2)},
			{"t3", "waiting", "bob", nil, day(3)},
			{"t4", "open", "ada", []string{"bug", "urgent"}, day(4)},
			{"t5", "open", "ada", []string{"urgent"}, day(5)},
			{"t6", "open", "ada", []string{"bug"}, day(6)},
		}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	return db
}

// A list with an index of its own: the filters are the leading fields of the index,
// the sort order is the last.
func ExampleBy3_At2() {
	ctx := context.Background()
	db := helpdesk(ctx)
	page, err := issues.Where(issueByAssignee.At2("ada", "open")).Limit(2).Page(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range page.Items {
		fmt.Println(t.ID)
	}
	fmt.Println(page.Next != "")
	// Output:
	// t6
	// t5
	// true
}

// Any combination of three filters, one index, and pages that continue exactly.
func ExampleTable_Where_facets() {
	ctx := context.Background()
	db := helpdesk(ctx)
	cursor := ""
	for {
		chosen := filter{State: "open", Label: "bug"}
		page, err := issues.Where(issueByFacet.At(chosen.facet())).Limit(2).Cursor(cursor).Page(ctx, db)
		if err != nil {
			log.Fatal(err)
		}
		for _, t := range page.Items {
			fmt.Println(t.ID)
		}
		fmt.Println("--")
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	fmt.Println(issues.Where(issueByFacet.At(filter{}.facet())).Count(ctx, db)) // no filter at all
	// Output:
	// t6
	// t4
	// --
	// t1
	// --
	// 6 <nil>
}

// In yields value after value, each with its own order by time: it is for lists that
// are grouped by the filter, not for one that is sorted by time.
func ExampleColumn_In_groups() {
	ctx := context.Background()
	db := helpdesk(ctx)
	for t, err := range issues.Where(issueByState.In("waiting", "done")).All(ctx, db) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(t.State, t.ID)
	}
	// Output:
	// done t2
	// waiting t3
}

// A filter that no index has is a condition in the program: the loop reads rows that
// it throws away, so it says how many at most.
func ExampleQuery_All_rest() {
	ctx := context.Background()
	db := helpdesk(ctx)
	var found []string
	for t, err := range issues.Where(issueByState.At("open")).Limit(1000).All(ctx, db) {
		if err != nil {
			log.Fatal(err)
		}
		if t.Opened.Weekday() != time.Monday {
			continue
		}
		if found = append(found, t.ID); len(found) == 50 {
			break
		}
	}
	fmt.Println(found)
	// Output: [t4]
}
