package pebble_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv makes the test binary run one of children instead of tests.
const childEnv = "TITO_PEBBLE_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		os.Exit(children()[name](os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}
