package tito_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/tito"
)

type Author struct {
	ID   string
	Name string
}

type Book struct {
	ID       string
	Title    string
	ISBN     string
	Section  string
	Pages    int
	Tags     []string
	AuthorID string
	SequelTo []string

	Author   *Author `json:"-"`
	Prequels []*Book `json:"-"`
}

const (
	authorT tito.Name[Author, string] = "authors"
	bookT   tito.Name[Book, string]   = "books"
)

var (
	bookSection = tito.String(func(b *Book) string { return b.Section })
	bookPages   = tito.Int(func(b *Book) int { return b.Pages })

	bookByISBN    = tito.Index("isbn", tito.String(func(b *Book) string { return b.ISBN }), &tito.IndexOptions[Book]{Unique: true})
	bookByTitle   = tito.Index("title", tito.String(func(b *Book) string { return strings.ToLower(b.Title) }), nil)
	bookByPages   = tito.Index("pages", bookPages, nil)
	bookBySection = tito.Index2("section_and_pages", bookSection, bookPages.Desc(), nil)
	bookByTag     = tito.Index("tag", tito.Strings(func(b *Book) []string { return b.Tags }), nil)

	bookAuthor   = tito.One("author", authorT, func(b *Book) *string { return &b.AuthorID }, func(b *Book, a *Author) { b.Author = a })
	bookPrequels = tito.Many("prequels", bookT, func(b *Book) []string { return b.SequelTo }, func(b *Book, bs []*Book) { b.Prequels = bs })

	Authors = tito.Define(tito.Schema[Author, string]{
		Table: authorT, ID: tito.StringID(func(a *Author) *string { return &a.ID }),
	})
	Books = tito.Define(tito.Schema[Book, string]{
		Table: bookT, ID: tito.StringID(func(b *Book) *string { return &b.ID }),
		Indexes:   tito.Indexes(bookByISBN, bookByTitle, bookByPages, bookBySection, bookByTag),
		Relations: tito.Relations(bookAuthor, bookPrequels),
	})
)

// library opens a database with a few books.
func library() *tito.DB {
	ctx := context.Background()
	store, err := memory.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	db, err := tito.Open(ctx, store, nil, Authors, Books)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(ctx, func(tx *tito.Tx) error {
		if _, err := Authors.CreateMany(ctx, tx, []*Author{{"leguin", "Ursula K. Le Guin"}, {"eco", "Umberto Eco"}}, nil); err != nil {
			return err
		}
		_, err := Books.CreateMany(ctx, tx, []*Book{
			{ID: "b1", Title: "A Wizard of Earthsea", ISBN: "1", Section: "fantasy", Pages: 205, Tags: []string{"magic", "sea"}, AuthorID: "leguin"},
			{ID: "b2", Title: "The Tombs of Atuan", ISBN: "2", Section: "fantasy", Pages: 163, Tags: []string{"magic"}, AuthorID: "leguin", SequelTo: []string{"b1"}},
			{ID: "b3", Title: "The Farthest Shore", ISBN: "3", Section: "fantasy", Pages: 223, Tags: []string{"magic", "sea"}, AuthorID: "leguin", SequelTo: []string{"b1", "b2"}},
			{ID: "b4", Title: "The Dispossessed", ISBN: "4", Section: "scifi", Pages: 341, Tags: []string{"utopia"}, AuthorID: "leguin"},
			{ID: "b5", Title: "The Name of the Rose", ISBN: "5", Section: "crime", Pages: 512, Tags: []string{"abbey", "books"}, AuthorID: "eco"},
		}, nil)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	return db
}

// titles prints what a query finds.
func titles(db *tito.DB, q tito.Query[Book, string]) {
	for b, err := range q.All(context.Background(), db) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(b.Title)
	}
}

func ExampleTable_Where() {
	db := library()
	titles(db, Books.Where(bookBySection.Eq("fantasy", 223)))
	// Output:
	// The Farthest Shore
}

// An index is a condition itself, and has an order.
func ExampleQuery_All() {
	db := library()
	for b, err := range Books.Where(bookByPages).All(context.Background(), db) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(b.Pages, b.Title)
	}
	// Output:
	// 163 The Tombs of Atuan
	// 205 A Wizard of Earthsea
	// 223 The Farthest Shore
	// 341 The Dispossessed
	// 512 The Name of the Rose
}

// At fixes the leading field. The second one is declared descending.
func ExampleBy2_At() {
	db := library()
	titles(db, Books.Where(bookBySection.At("fantasy")))
	// Output:
	// The Farthest Shore
	// A Wizard of Earthsea
	// The Tombs of Atuan
}

func ExampleColumn_Ge() {
	db := library()
	titles(db, Books.Where(bookByPages.Ge(205).Lt(341)))
	fmt.Println("--")
	titles(db, Books.Where(bookBySection.At("fantasy").Gt(200)))
	// Output:
	// A Wizard of Earthsea
	// The Farthest Shore
	// --
	// The Farthest Shore
	// A Wizard of Earthsea
}

// In keeps the order of the index.
func ExampleColumn_In() {
	db := library()
	titles(db, Books.Where(bookBySection.In("scifi", "crime")))
	// Output:
	// The Name of the Rose
	// The Dispossessed
}

func ExampleColumn_HasPrefix() {
	db := library()
	titles(db, Books.Where(bookByTitle.HasPrefix("the ")).Limit(2))
	// Output:
	// The Dispossessed
	// The Farthest Shore
}

// A book with several tags in the range comes once, at the first of them.
func ExampleEach() {
	db := library()
	titles(db, Books.Where(bookByTag.Le("magic")))
	fmt.Println("--")
	titles(db, Books.Where(bookByTag.Eq("sea")).Reverse())
	// Output:
	// The Name of the Rose
	// A Wizard of Earthsea
	// The Tombs of Atuan
	// The Farthest Shore
	// --
	// The Farthest Shore
	// A Wizard of Earthsea
}

func ExampleQuery_Reverse() {
	db := library()
	titles(db, Books.Where(bookByPages).Reverse().Limit(2))
	// Output:
	// The Name of the Rose
	// The Dispossessed
}

func ExampleQuery_Page() {
	ctx := context.Background()
	db := library()
	q := Books.Where(bookByTitle).Limit(2)
	cursor := ""
	for {
		page, err := q.Cursor(cursor).Page(ctx, db)
		if err != nil {
			log.Fatal(err)
		}
		for _, b := range page.Items {
			fmt.Println(b.Title)
		}
		fmt.Println("--")
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	// Output:
	// A Wizard of Earthsea
	// The Dispossessed
	// --
	// The Farthest Shore
	// The Name of the Rose
	// --
	// The Tombs of Atuan
	// --
}

func ExampleQuery_First() {
	ctx := context.Background()
	db := library()
	longest, err := Books.Where(bookByPages).Reverse().First(ctx, db)
	fmt.Println(longest.Title, err)
	_, err = Books.Where(bookByPages.Gt(1000)).First(ctx, db)
	fmt.Println(err)
	// Output:
	// The Name of the Rose <nil>
	// tito: row not found: table "books", by query
}

func ExampleQuery_One() {
	ctx := context.Background()
	db := library()
	b, err := Books.Where(bookByISBN.Eq("4")).One(ctx, db)
	fmt.Println(b.Title, err)
	_, err = Books.Where(bookByTag.Eq("magic")).One(ctx, db)
	fmt.Println(err)
	// Output:
	// The Dispossessed <nil>
	// tito: more than one row: table "books", by query
}

func ExampleQuery_Count() {
	ctx := context.Background()
	db := library()
	fmt.Println(Books.Where(bookByTag.Eq("magic")).Count(ctx, db))
	fmt.Println(Books.Scan().Count(ctx, db))
	// Output:
	// 3 <nil>
	// 5 <nil>
}

func ExampleQuery_IDs() {
	ctx := context.Background()
	db := library()
	for id, err := range Books.Where(bookByTag.Eq("sea")).IDs(ctx, db) {
		fmt.Println(id, err)
	}
	// Output:
	// b1 <nil>
	// b3 <nil>
}

func ExampleQuery_With() {
	ctx := context.Background()
	db := library()
	page, err := Books.Where(bookByPages.Ge(200)).With(bookAuthor).Limit(10).Page(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range page.Items {
		fmt.Printf("%s: %s\n", b.Author.Name, b.Title)
	}
	// Output:
	// Ursula K. Le Guin: A Wizard of Earthsea
	// Ursula K. Le Guin: The Farthest Shore
	// Ursula K. Le Guin: The Dispossessed
	// Umberto Eco: The Name of the Rose
}

func ExampleRelationTo_With() {
	ctx := context.Background()
	db := library()
	b, err := Books.Get(ctx, db, "b3", bookPrequels.With(bookAuthor))
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range b.Prequels {
		fmt.Printf("%s, by %s\n", p.Title, p.Author.Name)
	}
	// Output:
	// A Wizard of Earthsea, by Ursula K. Le Guin
	// The Tombs of Atuan, by Ursula K. Le Guin
}
