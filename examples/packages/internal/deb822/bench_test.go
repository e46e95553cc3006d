package deb822_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/tito-db/tito-go/examples/packages/internal/deb822"
)

func BenchmarkReader(b *testing.B) {
	benchmark(b, func(s *deb822.Stanza) error { return nil })
}

// BenchmarkCatalogue takes out of each stanza what the example stores.
func BenchmarkCatalogue(b *testing.B) {
	benchmark(b, func(s *deb822.Stanza) error {
		for _, name := range []string{"Package", "Version", "Section", "Maintainer", "Homepage", "Description"} {
			_ = s.Get(name)
		}
		if _, err := s.Tags("Tag"); err != nil {
			return err
		}
		_, err := s.Dependencies("Depends", "Pre-Depends")
		return err
	})
}

func benchmark(b *testing.B, use func(*deb822.Stanza) error) {
	text := sample(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r := deb822.NewReader(bytes.NewReader(text))
		for {
			s, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = use(s)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
