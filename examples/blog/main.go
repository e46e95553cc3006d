// Command blog shows relations between models, and queries by index: equal,
// ranges, in reverse, in pages, and within a transaction.
//
//	go run ./examples/blog
//
// Read model.go, then main.go, each from top to bottom.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

func main() {
	store, err := memory.Open(nil)
	if err == nil {
		err = errors.Join(run(context.Background(), store, os.Stdout), store.Close())
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, store *kv.Store, out io.Writer) error {
	db, err := tito.Open(ctx, store, nil, authors, tags, posts)
	if err != nil {
		return err
	}
	b := blog{db: db, out: out}
	for _, step := range []func(context.Context) error{
		b.fill, b.byAuthor, b.oneWithRelations, b.byTag, b.latest, b.byCategory, b.activeAdmins, b.publish,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type blog struct {
	db  *tito.DB
	out io.Writer
}

// fill stores the sample, all of it or nothing.
func (b *blog) fill(ctx context.Context) error {
	return b.db.Update(ctx, func(tx *tito.Tx) error {
		if _, err := authors.CreateMany(ctx, tx, sampleAuthors(), nil); err != nil {
			return err
		}
		if _, err := tags.CreateMany(ctx, tx, sampleTags(), nil); err != nil {
			return err
		}
		_, err := posts.CreateMany(ctx, tx, samplePosts(), nil)
		return err
	})
}

// byAuthor loads a list of posts together with their tags: one batch get
// brings the tags of all of them.
func (b *blog) byAuthor(ctx context.Context) error {
	fmt.Fprintln(b.out, "Posts by John, with their tags:")
	page, err := posts.Where(postByAuthor.Eq("john")).With(postTags).Limit(10).Page(ctx, b.db)
	if err != nil {
		return err
	}
	for _, p := range page.Items {
		fmt.Fprintf(b.out, "  %s [%s]\n", p.Title, tagNames(p))
	}
	return nil
}

func (b *blog) oneWithRelations(ctx context.Context) error {
	p, err := posts.Get(ctx, b.db, "tito", postAuthor, postTags)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "One post: %s, by %s [%s]\n", p.Title, p.Author.Name, tagNames(p))
	return nil
}

// byTag walks over all results, however many, in bounded memory.
func (b *blog) byTag(ctx context.Context) error {
	fmt.Fprintln(b.out, "About databases:")
	for p, err := range posts.Where(postByTag.Eq("db")).With(postAuthor).All(ctx, b.db) {
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "  %s, by %s\n", p.Title, p.Author.Name)
	}
	return nil
}

// latest takes a range of an index, backwards. Drafts are not in this index.
func (b *blog) latest(ctx context.Context) error {
	fmt.Fprintln(b.out, "Published in 2023, the latest first:")
	in2023 := postByPublished.Ge(day(2023, 1, 1)).Lt(day(2024, 1, 1))
	for p, err := range posts.Where(in2023).Reverse().All(ctx, b.db) {
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "  %s %s\n", p.Published.Format(time.DateOnly), p.Title)
	}
	return nil
}

// byCategory fixes the first field of a composite index; the second gives the
// order, here descending by definition, and could be narrowed as well.
func (b *blog) byCategory(ctx context.Context) error {
	technology := postByCategory.At("technology")
	latest, err := posts.Where(technology).First(ctx, b.db)
	if err != nil {
		return err
	}
	since, err := posts.Where(technology.Ge(day(2023, 3, 1))).Count(ctx, b.db)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "Technology: the latest is %s, %d since March 2023\n", latest.Title, since)
	return nil
}

// activeAdmins goes through a result page by page. A cursor is text that a
// server can hand to its client.
func (b *blog) activeAdmins(ctx context.Context) error {
	fmt.Fprintln(b.out, "Active admins, two a page:")
	query := authors.Where(authorByRole.Eq("admin", "active")).Limit(2)
	cursor := ""
	for {
		page, err := query.Cursor(cursor).Page(ctx, b.db)
		if err != nil {
			return err
		}
		var names []string
		for _, a := range page.Items {
			names = append(names, a.Name)
		}
		fmt.Fprintf(b.out, "  %s\n", strings.Join(names, ", "))
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}

// publish queries in a transaction and sees there what it has just written.
// Nobody else does before it commits; here it does not.
func (b *blog) publish(ctx context.Context) error {
	errRegret := errors.New("not today")
	query := posts.Where(postByCategory.At("life"))
	var inside, after *Post
	err := b.db.Update(ctx, func(tx *tito.Tx) error {
		_, err := posts.Patch(ctx, tx, "secret", func(p *Post) error {
			p.Published = day(2024, 2, 29)
			return nil
		}, nil)
		if err != nil {
			return err
		}
		if inside, err = query.First(ctx, tx); err != nil {
			return err
		}
		return errRegret // an error rolls back, and comes out as it is
	})
	if !errors.Is(err, errRegret) {
		return err
	}
	if after, err = query.First(ctx, b.db); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "Latest post on life: in the transaction %q, after its rollback %q\n", inside.Title, after.Title)
	return nil
}

func tagNames(p *Post) string {
	var names []string
	for _, t := range p.Tags {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}
