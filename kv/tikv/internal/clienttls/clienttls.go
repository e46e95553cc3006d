// Package clienttls keeps the TLS of TiKV's client library, which has one for the
// whole process: it asks a server that it has lost whether it lives over a
// connection of its own, which knows the process-wide configuration only.
package clienttls

import (
	"fmt"
	"sync"

	"github.com/tikv/client-go/v2/config"

	"github.com/tito-db/tito-go/kv"
)

// process-wide: it stands in for the library's configuration, which is.
var process security

// Files names the files of one TLS configuration; zero is no TLS.
type Files struct{ CA, Cert, Key string }

// Claim makes f the one TLS of the process until the caller calls release, once. The
// error wraps kv.ErrOptions if the process has another TLS. Several goroutines may
// call Claim at a time.
func Claim(f Files) (release func(), err error) { return process.claim(f) }

// Apply makes c the library's configuration, if c has TLS or an earlier configuration
// had. The caller has claimed the files of c.
func Apply(c config.Security) { process.apply(c) }

// security is the TLS of the process's open stores.
type security struct {
	mu    sync.Mutex
	users int   // stores that are open or being opened
	tls   Files // the files of those stores; zero for none
	set   bool  // this package has made the library's configuration
}

func (s *security) claim(wanted Files) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users > 0 && s.tls != wanted {
		return nil, fmt.Errorf("%w: TLS is not that of the process's other stores", kv.ErrOptions)
	}
	s.users++
	s.tls = wanted
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.users--
	}, nil
}

func (s *security) apply(c config.Security) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tls == (Files{}) && !s.set {
		return
	}
	s.set = s.tls != (Files{})
	config.UpdateGlobal(func(all *config.Config) { all.Security = c })
}
