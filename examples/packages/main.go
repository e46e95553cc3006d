// Command packages loads a Debian package index into Tito, and queries it.
//
//	apt-cache dumpavail | go run ./examples/packages -store pebble:packages.db -
//	go run ./examples/packages -store pebble:packages.db query section=games 'size>=100000000'
//	go run ./examples/packages -store tikv:127.0.0.1:2379 # PD of a cluster; make tikvcluster starts one
//
// Read model.go first: what is stored, and its indexes. Then load.go and
// query.go, and count.go for what -events does.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/tito"
)

const usage = `usage: packages [-store URL] [-n LIMIT] [-events] [FILE|-]       load, then a few sample queries
       packages -store URL query [CONDITION...] [-limit N] [-after CURSOR]

Loads a Debian package index (deb822 text, as apt-cache dumpavail prints it)
from FILE, standard input (-) or a sample that is built in. A package that is
there already is replaced; of several with one name the last counts. With
-events each package publishes an event, and while the load runs a worker keeps
the number of packages in each section; use it for every load of a store.

A query prints a line for each package: name, version, section, size and
maintainer, separated by tabs. If there are more, it ends with "next: CURSOR".
Quote conditions for the shell; size>= goes with section=, others stand alone:

  name=NAME             the package of that name
  name^=PREFIX          names that begin with PREFIX
  section=SECTION       in that section, the largest first
  size>=N               of at least N bytes (field Size), the largest first
  tag=TAG               with that tag, such as role::program
  maintainer=FIELD      with exactly that field, "Name <address>"
  maintainer^=PREFIX    with a field that begins with PREFIX
  depends-on=NAME       whose Depends or Pre-Depends name NAME (first alternatives)
  homepage^=PREFIX      with a homepage that begins with PREFIX

`

//go:embed testdata/Packages.sample
var sample []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // as shells report SIGINT
)

// run is the program without its surroundings. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := command{stdin: stdin, stdout: stdout, stderr: stderr}
	err := c.parseArgs(args)
	if err == nil {
		err = c.run(ctx)
	}
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "packages: interrupted:", err)
		return exitInterrupted
	}
	fmt.Fprintln(stderr, "packages:", err)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailure
}

// command is one call of the program.
type command struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	store string
	query bool

	// of a load
	file   string // "": the sample
	n      int
	events bool

	// of a query
	conditions []string
	limit      int
	after      string
}

var errUsage = errors.New("see -h")

// parseArgs lets flags stand before and after other arguments.
func (c *command) parseArgs(args []string) error {
	f := flag.NewFlagSet("packages", flag.ContinueOnError)
	f.SetOutput(io.Discard) // run reports errors
	f.StringVar(&c.store, "store", "memory:", "`URL` of the store, one of "+storeForms(false))
	f.IntVar(&c.n, "n", 0, "load the first `LIMIT` packages only; 0 is all")
	f.BoolVar(&c.events, "events", false, "count packages by section, from events")
	f.IntVar(&c.limit, "limit", 20, "print at most `N` packages")
	f.StringVar(&c.after, "after", "", "go on after the `CURSOR` of the page before")
	var rest []string
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(c.stdout, usage)
			f.SetOutput(c.stdout)
			f.PrintDefaults()
			return err
		} else if err != nil {
			return fmt.Errorf("%w; %w", err, errUsage)
		}
		if f.NArg() == 0 {
			break
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
	foreign := []string{"limit", "after"}
	if c.query = len(rest) > 0 && rest[0] == "query"; c.query {
		foreign, c.conditions = []string{"n", "events"}, rest[1:]
	} else if len(rest) == 1 {
		c.file = rest[0]
	}
	var err error
	f.Visit(func(given *flag.Flag) {
		for _, name := range foreign {
			if given.Name == name {
				err = fmt.Errorf("-%s does not belong here; %w", name, errUsage)
			}
		}
	})
	switch {
	case err != nil:
		return err
	case !c.query && len(rest) > 1:
		return fmt.Errorf("more than one FILE; %w", errUsage)
	case c.n < 0 || c.limit <= 0:
		return fmt.Errorf("-n must not be negative, -limit must be positive; %w", errUsage)
	}
	return nil
}

func openDB(ctx context.Context, store *kv.Store) (*tito.DB, error) {
	return tito.Open(ctx, store, nil, packages, maintainers, sections)
}

func (c *command) run(ctx context.Context) (err error) {
	store, err := openStore(ctx, c.store, c.query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	db, err := openDB(ctx, store)
	if err != nil {
		return err
	}
	if c.query {
		_, err := packages.Scan().First(ctx, db)
		if errors.Is(err, tito.ErrNotFound) {
			return fmt.Errorf("-store %s: no packages have been loaded into it", c.store)
		}
		if err != nil {
			return err
		}
		return printPage(ctx, c.stdout, db, c.conditions, c.limit, c.after)
	}
	return c.load(ctx, db)
}

func (c *command) load(ctx context.Context, db *tito.DB) error {
	in, size, err := c.open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	counted := &countingReader{Reader: in}
	p := newProgress(c.stderr, isTerminal(c.stderr), counted, size)
	start := time.Now()
	f, counting, err := c.loadAndCount(ctx, db, counted, p.at)
	elapsed := max(time.Since(start)-counting, time.Microsecond)
	p.end()
	if err != nil {
		return fmt.Errorf("%s: %w (%d packages are stored)", c.inputName(), err, f.packages)
	}
	if err := printSamples(ctx, c.stdout, db); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "packages: %d\n", f.packages)
	fmt.Fprintf(c.stdout, "maintainers: %d\n", f.maintainers)
	fmt.Fprintf(c.stdout, "dependencies: %d\n", f.dependencies)
	if c.events {
		n, err := checkSections(ctx, db)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "sections: %d, their packages counted by %v after the load\n", n, round(counting))
	}
	fmt.Fprintf(c.stdout, "loaded in %v (%.0f packages/s)\n", round(elapsed), float64(f.packages)/elapsed.Seconds())
	return nil
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// loadAndCount loads and, with -events, counts meanwhile, and returns how long
// that took on when the load was done.
func (c *command) loadAndCount(ctx context.Context, db *tito.DB, in io.Reader, report func(figures)) (f figures, after time.Duration, err error) {
	o := loadOptions{limit: c.n, events: c.events}
	if !c.events {
		f, err = load(ctx, db, in, o, report)
		return f, 0, err
	}
	counting, err := startCounting(ctx, db)
	if err != nil {
		return f, 0, err
	}
	defer func() { err = errors.Join(err, counting.end()) }()
	if f, err = load(ctx, db, in, o, report); err != nil {
		return f, 0, err
	}
	loaded := time.Now()
	err = counting.wait(ctx)
	return f, time.Since(loaded), err
}

// open returns the input and its size in bytes, -1 if that is not known.
func (c *command) open() (io.ReadCloser, int64, error) {
	switch c.file {
	case "":
		return io.NopCloser(bytes.NewReader(sample)), int64(len(sample)), nil
	case "-":
		return io.NopCloser(c.stdin), -1, nil
	}
	f, err := os.Open(c.file)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s: is a directory, not a package index", c.file)
	}
	if err != nil {
		_ = f.Close() // it was only looked at
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return f, -1, nil
	}
	return f, info.Size(), nil
}

func (c *command) inputName() string {
	switch c.file {
	case "":
		return "sample"
	case "-":
		return "standard input"
	}
	return c.file
}
