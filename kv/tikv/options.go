package tikv

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv/internal/engine"
)

// Defaults and bounds of Options.
const (
	DefaultTimeout = engine.DefaultTimeout
	MaxPrefixSize  = engine.MaxPrefixSize
)

// Options of a store in TiKV. The zero value means the defaults; nil works too.
type Options struct {
	kv.Options

	// Prefix is where the store lies in the cluster: each of its keys begins
	// with it there, which users of the store never see. Stores with different
	// prefixes are strangers to each other. It has at most MaxPrefixSize bytes,
	// none below 0x02. A TiDB on the same cluster has the keys that begin with
	// "m" and "t".
	Prefix string

	// TLS is how to talk to a cluster that wants TLS; nil talks in the clear. All
	// stores that a process has open at a time use the same TLS.
	TLS *TLS

	// Timeout bounds how long Open, Begin and each request of a read wait for
	// servers that do not answer; then they fail with kv.ErrUnavailable. A context
	// may bound them further. A commit waits as long for PD, each time that it
	// asks, and for TiKV until the outcome is known or, in each of two steps, some
	// 40 s have passed. Default DefaultTimeout.
	Timeout time.Duration

	// Logger gets the driver's warnings, and what the client library has to say
	// about any of the process's stores: see the package's description. The
	// library's messages can contain keys. Nil is quiet.
	Logger *slog.Logger
}

// TLS names files in PEM form. The driver reads Cert and Key again for each
// connection, so that a program can renew these files.
type TLS struct {
	CA   string // the certificates that sign the servers' certificates
	Cert string // the client's certificate; empty for none
	Key  string // the key of Cert
}

// withDefaults returns a copy of o with the fields of this package set, or an
// error that wraps kv.ErrOptions.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	common := &c.Options
	if err := common.Validate(); err != nil {
		return c, err
	}
	switch {
	case c.Timeout < 0:
		return c, fmt.Errorf("%w: Timeout is negative", kv.ErrOptions)
	case c.TLS != nil && c.TLS.CA == "":
		return c, fmt.Errorf("%w: TLS without CA", kv.ErrOptions)
	case c.TLS != nil && (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return c, fmt.Errorf("%w: of TLS.Cert and TLS.Key one is missing", kv.ErrOptions)
	}
	own := engine.Options{Prefix: []byte(c.Prefix), TxnLifetime: c.TxnLifetime}
	return c, own.Validate()
}
