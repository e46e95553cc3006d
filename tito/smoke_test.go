package tito_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

type UserID string
type Team struct {
	ID   int64
	Name string
}
type User struct {
	ID     UserID
	Email  string
	Role   string
	Status string
	Size   int64
	Tags   []string
	TeamID int64
	Team   *Team     `json:"-"`
	Meta   tito.Meta `json:"-"`
}

const (
	userT tito.Name[User, UserID] = "users"
	teamT tito.Name[Team, int64]  = "teams"
)

var (
	byEmail  = tito.Index("by_email", tito.String(func(u *User) string { return u.Email }), &tito.IndexOptions[User]{Unique: true})
	byRole   = tito.Index2("by_role_and_status", tito.String(func(u *User) string { return u.Role }), tito.String(func(u *User) string { return u.Status }), nil)
	bySize   = tito.Index("by_size", tito.Int(func(u *User) int64 { return u.Size }).Desc(), nil)
	byTag    = tito.Index("by_tag", tito.Strings(func(u *User) []string { return u.Tags }), nil)
	userTeam = tito.One("team", teamT, func(u *User) *int64 { return &u.TeamID }, func(u *User, t *Team) { u.Team = t })
	Users    = tito.Define(tito.Schema[User, UserID]{
		Table: userT, ID: tito.StringID(func(u *User) *UserID { return &u.ID }),
		Indexes: tito.Indexes(byEmail, byRole, bySize, byTag), Relations: tito.Relations(userTeam),
		Meta: func(u *User) *tito.Meta { return &u.Meta },
	})
	Teams = tito.Define(tito.Schema[Team, int64]{Table: teamT, ID: tito.IntID(func(t *Team) *int64 { return &t.ID })})
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	store, err := memory.Open(nil)
	require.NoError(t, err)
	db, err := tito.Open(ctx, store, nil, Users, Teams)
	require.NoError(t, err)
	require.NoError(t, db.Update(ctx, func(tx *tito.Tx) error {
		_, err := Teams.Create(ctx, tx, &Team{7, "seven"}, nil)
		require.NoError(t, err)
		for i := range 20 {
			u, err := Users.Create(ctx, tx, &User{ID: UserID(fmt.Sprintf("u%02d", i)), Email: fmt.Sprint(i, "@x"), Role: []string{"admin", "user"}[i%2], Status: []string{"active", "new", "old"}[i%3], Size: int64(i * 10), Tags: []string{"a", "b", fmt.Sprint("t", i)}, TeamID: int64(7 * (i % 2))}, nil)
			if err != nil {
				return err
			}
			require.NotZero(t, u.Meta.Revision)
		}
		return nil
	}))
	u, err := Users.Get(ctx, db, "u03", userTeam)
	require.NoError(t, err)
	require.Equal(t, "seven", u.Team.Name)
	u, err = Users.Where(byEmail.Eq("4@x")).One(ctx, db)
	require.NoError(t, err)
	require.Equal(t, UserID("u04"), u.ID)
	show := func(q tito.Query[User, UserID]) string {
		s := ""
		for u, err := range q.All(ctx, db) {
			require.NoError(t, err)
			s += string(u.ID) + " "
		}
		n, err := q.Count(ctx, db)
		require.NoError(t, err)
		return fmt.Sprint(s, n)
	}
	t.Log(show(Users.Where(byRole.Eq("admin", "active"))))
	t.Log(show(Users.Where(byRole.At("admin"))))
	t.Log(show(Users.Where(byRole.At("admin").In("new", "active"))))
	t.Log(show(Users.Where(byRole.At("admin").In("new", "active")).Reverse()))
	t.Log(show(Users.Where(tito.HasPrefix(byRole.At("admin"), "o"))))
	t.Log(show(Users.Where(bySize.Ge(50).Lt(90))))
	t.Log(show(Users.Where(bySize.Gt(50).Le(90)).Reverse()))
	t.Log(show(Users.Where(byTag)))
	t.Log(show(Users.Where(byTag).Reverse()))
	t.Log(show(Users.Where(byTag.Ge("t15"))))
	t.Log(show(Users.Scan().Limit(5).Reverse()))
	q := Users.Where(byTag).Limit(7)
	for range 2 {
		cur := ""
		for {
			p, err := q.After(cur).Page(ctx, db)
			require.NoError(t, err)
			s := ""
			for _, u := range p.Items {
				s += string(u.ID) + " "
			}
			t.Log(s, p.Next != "", p.Prev != "")
			if p.Next == "" {
				cur = p.Prev
				break
			}
			cur = p.Next
		}
		for cur != "" {
			p, err := q.After(cur).Page(ctx, db)
			require.NoError(t, err)
			s := ""
			for _, u := range p.Items {
				s += string(u.ID) + " "
			}
			t.Log("back", s, p.Next != "", p.Prev != "")
			cur = p.Prev
		}
		q = Users.Where(bySize).Limit(6)
	}
}
