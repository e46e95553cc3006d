package deb822_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tito-db/tito-go/examples/packages/internal/deb822"
)

func ExampleReader() {
	index := `Package: tig
Section: vcs
Depends: git, libc6 (>= 2.34), perl:any | raku
Tag: implemented-in::{c,perl},
 role::program

Package: git
Section: vcs
`
	r := deb822.NewReader(strings.NewReader(index))
	for {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		names, err := s.Dependencies("Depends", "Pre-Depends")
		if err != nil {
			fmt.Println(err)
			return
		}
		tags, err := s.Tags("Tag")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.Get("Package"), names, tags)
	}
	// Output:
	// tig [git libc6 perl] [implemented-in::c implemented-in::perl role::program]
	// git [] []
}

func ExampleSyntaxError() {
	_, err := deb822.NewReader(strings.NewReader("Package: git\nSection: v")).Next()
	fmt.Println(err)

	var syntax *deb822.SyntaxError
	if errors.As(err, &syntax) {
		fmt.Println(syntax.Line)
	}
	// Output:
	// deb822: unexpected end of file in line 2
	// 2
}

func ExampleStanza_Fields() {
	s, err := deb822.NewReader(strings.NewReader("Package: git\nDescription: fast\n .\n more\n")).Next()
	if err != nil {
		fmt.Println(err)
		return
	}
	for f := range s.Fields() {
		fmt.Printf("%d %s %q\n", f.Line, f.Name, f.Value)
	}
	// Output:
	// 1 Package "git"
	// 2 Description "fast\n.\nmore"
}
