package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	tikverr "github.com/tikv/client-go/v2/error"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tito-db/tito-go/kv"
)

// failure is an error of the client as kv's callers get it. The client's texts may
// hold keys, so failure shows only texts that are known to hold none; errors.Is and
// errors.As find the rest.
type failure struct {
	is    []error // what it is, in kv's words first
	cause error   // the client's; nil if there is none
}

// fail makes an error that wraps every error of is. The caller of fail decides what
// is holds: a context error only if the caller's own context has ended, and the
// driver's own refusal, which says that nothing was written, only if that is certain.
func fail(cause error, is ...error) error {
	for _, own := range [...]error{context.Canceled, context.DeadlineExceeded, kv.ErrTxnTooOld} {
		if errors.Is(cause, own) && !slices.ContainsFunc(is, func(e error) bool { return errors.Is(e, own) }) {
			cause = nil
		}
	}
	return &failure{is: is, cause: cause}
}

func (f *failure) Error() string {
	var texts []string
	add := func(text string) {
		if text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	for _, e := range f.is {
		add(e.Error())
	}
	add(reason(f.cause))
	return strings.Join(texts, ": ")
}

func (f *failure) Unwrap() []error {
	if f.cause == nil {
		return f.is
	}
	return append(f.is[:len(f.is):len(f.is)], f.cause)
}

// errTimeout says that the driver's own timeout ended a call, not the caller's context.
var errTimeout = errors.New("kv: tikv: the cluster did not answer in time")

// plain are errors of the client and the driver with constant texts.
var plain = [...]error{ // immutable
	errTimeout, tikverr.ErrResultUndetermined, tikverr.ErrRegionUnavailable, tikverr.ErrTiKVServerTimeout,
	tikverr.ErrTiKVServerBusy, tikverr.ErrTiKVStaleCommand, tikverr.ErrTiKVMaxTimestampNotSynced,
	tikverr.ErrResolveLockTimeout, tikverr.ErrRegionDataNotReady, tikverr.ErrRegionNotInitialized,
	tikverr.ErrTiKVDiskFull, tikverr.ErrRegionRecoveryInProgress, tikverr.ErrBodyMissing,
	tikverr.ErrTiDBShuttingDown, context.Canceled, context.DeadlineExceeded,
}

// reason returns what may be shown of err, possibly nothing.
func reason(err error) string {
	for _, p := range plain {
		if errors.Is(err, p) {
			return p.Error()
		}
	}
	var pd *tikverr.ErrPDServerTimeout
	if errors.As(err, &pd) {
		return "pd server timeout"
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK {
		return "rpc error: " + s.Code().String()
	}
	return ""
}

// CallError makes err, which a call that is no commit returned, an error for the caller.
func CallError(ctx context.Context, err error) error {
	if ended := contextErrors(ctx); ended != nil {
		return fail(err, ended...)
	}
	return fail(err, kv.ErrUnavailable)
}

// contextErrors returns the errors with which ctx has ended, if it has. It leaves out
// the end of the driver's own timeout, which is no error of the caller's context.
func contextErrors(ctx context.Context) []error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeout):
		return []error{kv.ErrUnavailable, errTimeout}
	case cause != nil && !errors.Is(err, cause):
		return []error{err, cause}
	}
	return []error{err}
}

// readError makes err, which a read returned, an error for the caller.
func (t *txn) readError(ctx context.Context, err error) error {
	var collected *tikverr.ErrGCTooEarly
	if errors.As(err, &collected) {
		return fail(err, t.tooOld())
	}
	return CallError(ctx, err)
}

// tooOld is the error of a transaction whose snapshot is gone.
func (t *txn) tooOld() error {
	if t.kv == nil {
		return kv.ErrSnapshotTooOld
	}
	return kv.ErrTxnTooOld
}

// commitError makes err, which a commit with outcome o returned, an error for the caller.
func commitError(ctx context.Context, err error, o outcome) error {
	var (
		latch     *tikverr.ErrWriteConflictInLatch
		retryable *tikverr.ErrRetryable
		tooLarge  *tikverr.ErrTxnTooLarge
		entry     *tikverr.ErrEntryTooLarge
	)
	with := func(kind error) error { return fail(err, append([]error{kind}, contextErrors(ctx)...)...) }
	switch {
	case o.conflict:
		return fail(err, kv.ErrConflict)
	case o.lost, errors.Is(err, tikverr.ErrResultUndetermined):
		return with(kv.ErrCommitUnknown)
	case errors.Is(err, kv.ErrTxnTooOld): // found before it could commit
		return fail(err, kv.ErrTxnTooOld)
	case errors.As(err, &latch), errors.As(err, &retryable): // rolled back by another one that met its locks
		return fail(err, kv.ErrConflict)
	case o.sent:
		return with(kv.ErrCommitUnknown)
	case errors.As(err, &tooLarge), errors.As(err, &entry):
		return fail(err, kv.ErrTxnTooLarge)
	}
	return with(kv.ErrUnavailable)
}
