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

// Files are those of one TLS; zero for none.
type Files struct{ CA, Cert, Key string }

// Claim makes f the one TLS of the process until release is called, once. The
// error wraps kv.ErrOptions if there is another one. It may be called from
// several goroutines.
func Claim(f Files) (release func(), err error) { return process.claim(f) }

// Apply makes c the library's, if it is of any use or another one was before.
// The caller has claimed its files.
func Apply(c config.Security) { process.apply(c) }

// security is the TLS of the process's open stores.
type security struct {
	mu    sync.Mutex
	users int   // stores that are open or being opened
	tls   Files // theirs; zero for none
	set   bool  // the library's is of this package's making
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
