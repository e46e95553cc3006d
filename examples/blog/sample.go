package main

import "time"

func sampleAuthors() []*Author {
	return []*Author{
		{ID: "john", Name: "John", Role: "admin", Status: "active"},
		{ID: "jane", Name: "Jane", Role: "admin", Status: "active"},
		{ID: "kim", Name: "Kim", Role: "admin", Status: "away"},
		{ID: "lee", Name: "Lee", Role: "admin", Status: "active"},
		{ID: "max", Name: "Max", Role: "editor", Status: "active"},
	}
}

func sampleTags() []*Tag {
	return []*Tag{
		{ID: "db", Name: "databases"},
		{ID: "go", Name: "Go"},
		{ID: "tea", Name: "tea"},
	}
}

func samplePosts() []*Post {
	return []*Post{
		{ID: "tito", Title: "Hello, Tito", Category: "technology", Published: day(2023, 1, 2), AuthorID: "john", TagIDs: []string{"go", "db"}},
		{ID: "keys", Title: "Keys in order", Category: "technology", Published: day(2023, 5, 14), AuthorID: "jane", TagIDs: []string{"db"}},
		{ID: "iter", Title: "Ranging over functions", Category: "technology", Published: day(2024, 2, 6), AuthorID: "john", TagIDs: []string{"go"}},
		{ID: "oolong", Title: "In praise of oolong", Category: "life", Published: day(2022, 11, 30), AuthorID: "max", TagIDs: []string{"tea"}},
		{ID: "kettle", Title: "A kettle's song", Category: "life", Published: day(2023, 12, 31), AuthorID: "john", TagIDs: []string{"tea"}},
		{ID: "secret", Title: "Unfinished", Category: "life", AuthorID: "jane", TagIDs: []string{"tea", "db"}},
	}
}

func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}
