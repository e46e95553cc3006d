package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress tells a person how far a load has come: by a bar on a terminal, else
// by a line now and then.
type progress struct {
	out  io.Writer
	in   *countingReader
	bar  *progressbar.ProgressBar // nil: lines
	next int                      // packages at which the next line is due
}

const progressStep = 10000 // packages from line to line

// newProgress makes the progress of reading in, which has size bytes, or -1 if
// that is not known. Its end must be called.
func newProgress(out io.Writer, terminal bool, in *countingReader, size int64) *progress {
	p := &progress{out: out, in: in, next: progressStep}
	if terminal {
		p.bar = progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription("loading"),
			progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish())
	}
	return p
}

// at says that the packages of f have been stored.
func (p *progress) at(f figures) {
	switch {
	case p.bar != nil:
		_ = p.bar.Set64(p.in.n.Load()) // a bar that cannot be drawn is no reason to stop
	case f.packages >= p.next:
		fmt.Fprintf(p.out, "%d packages\n", f.packages)
		p.next = f.packages/progressStep*progressStep + progressStep
	}
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish() // as above
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// countingReader counts the bytes that have been read through it.
type countingReader struct {
	io.Reader
	n atomic.Int64
}

func (r *countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.n.Add(int64(n))
	return n, err
}
