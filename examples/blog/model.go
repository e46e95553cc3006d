package main

import (
	"time"

	"github.com/tito-db/tito-go/tito"
)

// Author writes posts.
type Author struct {
	ID     string
	Name   string
	Role   string
	Status string
}

// Tag is what posts are about.
type Tag struct {
	ID   string
	Name string
}

// Post refers to its author and tags by their ids. The rows themselves are in
// Author and Tags when a read asks for them, and are not stored with the post.
type Post struct {
	ID        string
	Title     string
	Category  string
	Published time.Time // zero: a draft
	AuthorID  string
	TagIDs    []string

	Author *Author `json:"-"`
	Tags   []*Tag  `json:"-"`
}

// Tables refer to each other by name.
const (
	authorTable tito.Name[Author, string] = "authors"
	tagTable    tito.Name[Tag, string]    = "tags"
	postTable   tito.Name[Post, string]   = "posts"
)

var (
	// Composite: by role, within a role by status.
	authorByRole = tito.Index2("by_role_and_status",
		tito.String(func(a *Author) string { return a.Role }),
		tito.String(func(a *Author) string { return a.Status }), nil)

	authors = tito.Define(tito.Schema[Author, string]{
		Table:   authorTable,
		ID:      tito.StringID(func(a *Author) *string { return &a.ID }),
		Indexes: tito.Indexes(authorByRole),
	})

	tags = tito.Define(tito.Schema[Tag, string]{
		Table: tagTable,
		ID:    tito.StringID(func(t *Tag) *string { return &t.ID }),
	})
)

var (
	postByAuthor = tito.Index("by_author", tito.String(func(p *Post) string { return p.AuthorID }), nil)

	// Multi-value: a post has an entry for each of its tags.
	postByTag = tito.Index("by_tag", tito.Strings(func(p *Post) []string { return p.TagIDs }), nil)

	// Conditional: drafts have no entry.
	postByPublished = tito.Index("by_published",
		tito.Time(func(p *Post) time.Time { return p.Published }),
		&tito.IndexOptions[Post]{When: isPublished})

	// Composite and conditional, the newest first within a category.
	postByCategory = tito.Index2("by_category_and_published",
		tito.String(func(p *Post) string { return p.Category }),
		tito.Time(func(p *Post) time.Time { return p.Published }).Desc(),
		&tito.IndexOptions[Post]{When: isPublished})

	postAuthor = tito.One("author", authorTable,
		func(p *Post) *string { return &p.AuthorID },
		func(p *Post, a *Author) { p.Author = a })

	postTags = tito.Many("tags", tagTable,
		func(p *Post) []string { return p.TagIDs },
		func(p *Post, ts []*Tag) { p.Tags = ts })

	posts = tito.Define(tito.Schema[Post, string]{
		Table:     postTable,
		ID:        tito.StringID(func(p *Post) *string { return &p.ID }),
		Indexes:   tito.Indexes(postByAuthor, postByTag, postByPublished, postByCategory),
		Relations: tito.Relations(postAuthor, postTags),
	})
)

func isPublished(p *Post) bool { return !p.Published.IsZero() }
