//go:build unix && !solaris && !aix && !android

package bolt

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/tito-db/tito-go/kv"
)

// lock takes the lock that bbolt takes too, before the file is looked at.
func lock(f *os.File, timeout time.Duration) error {
	const retry = 10 * time.Millisecond
	deadline := time.Now().Add(timeout)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("lock: %w", err)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return kv.ErrLocked
		}
		<-time.After(min(left, retry))
	}
}

func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
