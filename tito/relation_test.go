package tito_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kvtest/kvfault"
	"github.com/tito-db/tito-go/tito"
)

type person struct {
	ID      string
	BossID  *string // nil: none
	TeamID  int64   // 0: none
	Friends []string

	Boss    *person   `json:"-"`
	Team    *team     `json:"-"`
	Close   []*person `json:"-"`
	Visited int       `json:"-"`
}

type team struct {
	ID     int64
	LeadID string
	Lead   *person `json:"-"`
}

const (
	personT tito.Name[person, string] = "people"
	teamT_  tito.Name[team, int64]    = "teams"
)

var (
	personBoss = tito.One("boss", personT, func(p *person) *string { return p.BossID }, func(p, boss *person) { p.Boss = boss })
	personTeam = tito.One("team", teamT_, func(p *person) *int64 { return &p.TeamID }, func(p *person, t *team) { p.Team = t })
	friends    = tito.Many("friends", personT, func(p *person) []string { return p.Friends }, func(p *person, ps []*person) {
		p.Close = ps
		p.Visited++
	})
	teamLead = tito.One("lead", personT, func(t *team) *string { return &t.LeadID }, func(t *team, p *person) { t.Lead = p })

	personByTeam = tito.Index("team", tito.Int(func(p *person) int64 { return p.TeamID }), nil)

	people = tito.Define(tito.Schema[person, string]{
		Table: personT, ID: tito.StringID(func(p *person) *string { return &p.ID }),
		Indexes: tito.Indexes(personByTeam), Relations: tito.Relations(personBoss, personTeam, friends),
	})
	teams = tito.Define(tito.Schema[team, int64]{
		Table: teamT_, ID: tito.IntID(func(t *team) *int64 { return &t.ID }), Relations: tito.Relations(teamLead),
	})
)

func openPeople(t testing.TB, store *kv.Store) *tito.DB {
	ctx := context.Background()
	db, err := tito.Open(ctx, store, nil, people, teams)
	require.NoError(t, err)
	require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
		if _, err := teams.CreateMany(ctx, tx, []*team{{ID: 1, LeadID: "ann"}, {ID: 2, LeadID: "nobody"}}, nil); err != nil {
			return err
		}
		_, err := people.CreateMany(ctx, tx, []*person{
			{ID: "ann", TeamID: 1, Friends: []string{"bob", "cid", "bob", "nobody", "", "ann"}},
			{ID: "bob", TeamID: 1, BossID: ptr("ann")},
			{ID: "cid", TeamID: 2, BossID: ptr("ann"), Friends: []string{}},
			{ID: "dan", TeamID: 3, BossID: ptr("nobody")},
			{ID: "eve", BossID: ptr("")},
		}, nil)
		return err
	}))
	return db
}

func TestRelations(t *testing.T) { stores(t, requireRelations) }

func requireRelations(t *testing.T, open openStore) {
	ctx := context.Background()
	store, calls := counted(t, open)
	db := openPeople(t, store)
	byID := func(with ...tito.Relation[person]) map[string]*person {
		all := map[string]*person{}
		page, err := people.Scan().With(with...).Page(ctx, db)
		require.NoError(t, err)
		for _, p := range page.Items {
			all[p.ID] = p
		}
		require.Len(t, all, 5)
		return all
	}

	t.Run("one level", func(t *testing.T) {
		var all map[string]*person
		// The rows: ann, bob, cid, nobody; teams 1, 2, 3. Each is read once.
		calls.Expect(t, kvfault.Counts{Cursors: 1, BatchGets: 1, BatchKeys: 7}, func() {
			all = byID(personBoss, personTeam, friends)
		})
		require.Nil(t, all["ann"].Boss)
		require.Equal(t, "ann", all["bob"].Boss.ID)
		require.Same(t, all["bob"].Boss, all["cid"].Boss, "referrers share a row")
		require.Nil(t, all["dan"].Boss, "missing")
		require.Nil(t, all["eve"].Boss, "zero id")
		require.Same(t, all["ann"].Team, all["bob"].Team)
		require.EqualValues(t, 2, all["cid"].Team.ID)
		require.Nil(t, all["dan"].Team)
		require.Nil(t, all["eve"].Team)
		var names []string
		for _, p := range all["ann"].Close {
			names = append(names, p.ID)
		}
		require.Equal(t, []string{"bob", "cid", "bob", "ann"}, names, "in the order of the list")
		require.Empty(t, all["cid"].Close)
		require.Equal(t, 1, all["eve"].Visited, "set is called for all")
	})
	t.Run("nested", func(t *testing.T) {
		var all map[string]*person
		calls.Expect(t, kvfault.Counts{Cursors: 1, BatchGets: 3}, func() {
			all = byID(personBoss.With(personTeam), personTeam.With(teamLead.With(friends)), friends)
		})
		require.EqualValues(t, 1, all["bob"].Boss.Team.ID)
		require.Equal(t, "ann", all["bob"].Team.Lead.ID)
		require.Len(t, all["bob"].Team.Lead.Close, 4)
		require.Nil(t, all["cid"].Team.Lead)
		require.Nil(t, all["bob"].Boss.Boss)
		require.Nil(t, all["ann"].Close[0].Boss, "not asked for there")
	})
	t.Run("costs", func(t *testing.T) {
		calls.Expect(t, kvfault.Counts{Gets: 1, BatchGets: 2}, func() {
			p, err := people.Get(ctx, db, "bob", personTeam.With(teamLead))
			require.NoError(t, err)
			require.Equal(t, "ann", p.Team.Lead.ID)
		})
		calls.Expect(t, kvfault.Counts{BatchGets: 2}, func() {
			ps, err := people.GetMany(ctx, db, []string{"cid", "nobody", "bob", "cid"}, personBoss)
			require.NoError(t, err)
			require.Nil(t, ps[1])
			require.Equal(t, "ann", ps[0].Boss.ID)
			require.Equal(t, "ann", ps[3].Boss.ID)
		})
		calls.Expect(t, kvfault.Counts{Gets: 1}, func() { // nothing to fetch
			_, err := people.Get(ctx, db, "eve", personBoss.With(friends), personTeam)
			require.NoError(t, err)
		})
		calls.Expect(t, kvfault.Counts{Cursors: 1, BatchGets: 2}, func() {
			_, err := people.Where(personByTeam.In(1, 2)).With(personTeam).Page(ctx, db)
			require.NoError(t, err)
		})
	})
	t.Run("strict", func(t *testing.T) {
		_, err := people.Get(ctx, db, "bob", personBoss.Strict(), personTeam.Strict())
		require.NoError(t, err)
		_, err = people.Get(ctx, db, "eve", personBoss.Strict(), personTeam.Strict())
		require.NoError(t, err, "no id refers to nothing")
		_, err = people.Get(ctx, db, "dan", personBoss.Strict())
		require.ErrorIs(t, err, tito.ErrMissing)
		_, err = people.Get(ctx, db, "ann", friends.Strict())
		require.ErrorIs(t, err, tito.ErrMissing)
		_, err = people.Get(ctx, db, "cid", personTeam.With(teamLead.Strict()))
		require.ErrorIs(t, err, tito.ErrMissing)
		_, err = people.Get(ctx, db, "cid", personTeam.Strict().With(teamLead))
		require.NoError(t, err, "only what was made strict is")
	})
	t.Run("own writes", func(t *testing.T) {
		tx, err := db.Begin(ctx, nil)
		require.NoError(t, err)
		defer tx.Rollback()
		require.NoError(t, people.Delete(ctx, tx, "ann", nil))
		_, err = people.Create(ctx, tx, &person{ID: "nobody"}, nil)
		require.NoError(t, err)
		p, err := people.Get(ctx, tx, "bob", personBoss)
		require.NoError(t, err)
		require.Nil(t, p.Boss)
		p, err = people.Get(ctx, tx, "dan", personBoss)
		require.NoError(t, err)
		require.Equal(t, "nobody", p.Boss.ID)
	})
}

func TestRelationsThatAreNotListed(t *testing.T) {
	ctx := context.Background()
	db := openPeople(t, memoryStore(t, nil))
	stranger := tito.One("boss", personT, func(p *person) *string { return p.BossID }, func(p, boss *person) { p.Boss = boss })
	for name, with := range map[string][]tito.Relation[person]{
		"not listed": {stranger},
		"nested":     {personTeam.With(teamLead.With(stranger))},
		"nil":        {nil},
		"zero":       {personBoss, tito.RelationTo[person, team, int64]{}},
		"twice":      {personBoss.With(friends), personBoss},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := people.Get(ctx, db, "nobody", with...)
			require.ErrorIs(t, err, tito.ErrQuery, "whatever the rows")
			_, err = people.GetMany(ctx, db, nil, with...)
			require.ErrorIs(t, err, tito.ErrQuery)
			_, err = people.Where(personByTeam.In()).With(with...).Page(ctx, db)
			require.ErrorIs(t, err, tito.ErrQuery)
			for _, err := range people.Scan().With(with...).All(ctx, db) {
				require.ErrorIs(t, err, tito.ErrQuery)
			}
		})
	}
}

// Targets that a record brings along are not stored with it.
func TestHydratedTargetsAreNotStored(t *testing.T) {
	ctx := context.Background()
	db := openPeople(t, memoryStore(t, nil))
	bob, err := people.Get(ctx, db, "bob", personBoss, personTeam)
	require.NoError(t, err)
	require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
		stored, err := people.Put(ctx, tx, bob, nil)
		require.Nil(t, stored.Boss)
		return err
	}))
	require.NotNil(t, bob.Boss, "the argument is not changed")
}
