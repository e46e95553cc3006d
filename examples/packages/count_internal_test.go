package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue"
	"github.com/tito-db/tito-go/tito"
)

// inSections makes an index of n packages, spread over sections in a way that
// differs from shift to shift; some are of no section.
func inSections(n, shift int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Package: p%06d\n", i)
		if s := (i + i/10*shift) % 7; s > 0 {
			fmt.Fprintf(&b, "Section: s%d\n", s)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// loadAndCount loads a list with events, and counts it.
func loadAndCount(t *testing.T, db *tito.DB, list string) {
	t.Helper()
	c := command{events: true}
	_, _, err := c.loadAndCount(t.Context(), db, strings.NewReader(list), ignore)
	require.NoError(t, err)
}

// requireCounts checks the counts against the index, and against the list.
func requireCounts(t *testing.T, db *tito.DB, list string) {
	t.Helper()
	want := map[string]int{}
	for _, s := range newOracle(t, list) {
		want[s.section]++
	}
	n, err := checkSections(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, len(want), n)
	got := map[string]int{}
	for s, err := range sections.Scan().All(t.Context(), db) {
		require.NoError(t, err)
		if s.Packages != 0 {
			got[s.Name()] = s.Packages
		}
	}
	require.Equal(t, want, got)
}

func stats(t *testing.T, db *tito.DB) (s queue.Stats) {
	t.Helper()
	require.NoError(t, db.View(t.Context(), func(tx *tito.Tx) (err error) {
		s, err = db.Queue().Group(packageTopic, countGroup).Stats(t.Context(), tx.KV())
		return err
	}))
	return s
}

// Each load is one event for each package, and a package counts once, in the
// section that it came to last.
func TestCounts(t *testing.T) {
	stores(t, func(t *testing.T, url string) {
		store, err := openStore(t.Context(), url, false)
		db := newDB(t, store, err)
		const n = 2500
		list := ""
		for i, shift := range []int{0, 0, 1, 2} {
			list += inSections(n, shift)
			loadAndCount(t, db, inSections(n, shift))
			requireCounts(t, db, list)
			require.Equal(t, queue.Stats{Events: uint64(n * (i + 1)), Done: uint64(n * (i + 1))}, stats(t, db))
		}
		// Packages that go take their counts with them.
		require.NoError(t, db.Update(t.Context(), func(tx *tito.Tx) error {
			return packages.Delete(t.Context(), tx, "p000000", nil)
		}))
		loadAndCount(t, db, "")
		requireCounts(t, db, strings.TrimPrefix(inSections(n, 2), "Package: p000000\n\n"))
	})
}

// A load without -events publishes nothing, which a later one notices.
func TestLoadWithoutEvents(t *testing.T) {
	db := memoryDB(t, kv.Options{})
	_, err := load(t.Context(), db, strings.NewReader(inSections(10, 0)), loadOptions{}, ignore)
	require.NoError(t, err)
	require.Zero(t, stats(t, db))
	_, err = checkSections(t.Context(), db)
	require.ErrorContains(t, err, "10 packages are of sections without a count")
	loadAndCount(t, db, inSections(10, 1))
	_, err = checkSections(t.Context(), db)
	require.ErrorContains(t, err, "has something been loaded without -events?")
}

var countLine = regexp.MustCompile(`counted by ([0-9.]+(h|m|s|ms|µs))+ after`)

func TestEventsOutput(t *testing.T) {
	stores(t, func(t *testing.T, url string) {
		plain := call(t, nil)
		for range 2 {
			got := call(t, nil, "-events", "-store", url)
			require.Zero(t, got.code, got.stderr)
			want := strings.Replace(withoutTime(plain.stdout), "loaded in", "sections: 57, their packages counted by T after the load\nloaded in", 1)
			require.Equal(t, want, countLine.ReplaceAllString(withoutTime(got.stdout), "counted by T after"))
		}
	})
	require.Equal(t, exitUsage, call(t, nil, "query", "-events").code)
}

// A load that ends early leaves what it has published to the next.
func TestCountingGoesOn(t *testing.T) {
	db := memoryDB(t, kv.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	c := command{events: true}
	_, _, err := c.loadAndCount(ctx, db, strings.NewReader(inSections(5*batchRecords, 0)), func(f figures) {
		if f.packages == 2*batchRecords {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	loadAndCount(t, db, "")
	requireCounts(t, db, inSections(2*batchRecords, 0))
}

// An event that cannot be read is no reason to stop, but is told.
func TestCountingReportsForeignEvents(t *testing.T) {
	db := memoryDB(t, kv.Options{})
	require.NoError(t, db.Update(t.Context(), func(tx *tito.Tx) error {
		return db.Queue().Publish(t.Context(), tx.KV(), queue.Message{Topic: packageTopic, Payload: []byte("foreign")})
	}))
	c := command{events: true}
	_, _, err := c.loadAndCount(t.Context(), db, strings.NewReader(inSections(10, 0)), ignore)
	require.ErrorContains(t, err, "1 events could not be counted")
	requireCounts(t, db, inSections(10, 0))
}
