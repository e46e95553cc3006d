//go:build !unix || solaris || aix || android

package bolt

import (
	"os"
	"time"
)

// lock does nothing: on these systems a process cannot take bbolt's lock twice, and
// so bbolt alone takes it.
func lock(*os.File, time.Duration) error { return nil }

func unlock(*os.File) error { return nil }
