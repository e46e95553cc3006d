package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tito-db/tito-go/tito"
)

// printSamples shows what the indexes and relations are good for, as of one
// snapshot.
func printSamples(ctx context.Context, out io.Writer, db *tito.DB) error {
	return db.View(ctx, func(tx *tito.Tx) error {
		fmt.Fprintln(out, "The largest packages:")
		for p, err := range packages.Where(packageBySize).Limit(3).With(packageMaintainer).All(ctx, tx) {
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "  %s, %d bytes%s\n", p.Name, p.Size, by(p.Maintainer))
		}

		fmt.Fprintln(out, "The largest in section games:")
		for p, err := range packages.Where(packageBySection.At("games")).Limit(3).All(ctx, tx) {
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "  %s, %d bytes\n", p.Name, p.Size)
		}

		git, err := packages.Where(packageByName.Eq("git")).With(packageDependencies).One(ctx, tx)
		switch {
		case errors.Is(err, tito.ErrNotFound):
			fmt.Fprintln(out, "There is no package git.")
		case err != nil:
			return err
		default:
			fmt.Fprintf(out, "What %s depends on:\n", git.Name)
			for _, p := range git.Dependencies {
				fmt.Fprintf(out, "  %s %s\n", p.Name, p.Version)
			}
		}

		for _, count := range []struct {
			what string
			of   tito.Condition[Package]
		}{
			{"that depend on libc6", packageByDependency.Eq("libc6")},
			{"tagged role::program", packageByTag.Eq("role::program")},
			{"with names that begin with python3-", packageByName.HasPrefix("python3-")},
			{"with a homepage on GitHub", packageByHomepage.HasPrefix("https://github.com/")},
		} {
			n, err := packages.Where(count.of).Count(ctx, tx)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "Packages %s: %d\n", count.what, n)
		}
		return nil
	})
}

func by(m *Maintainer) string {
	if m == nil {
		return ""
	}
	return ", by " + m.Name
}
