// Package archtest holds the shape of this module: who may import whom, which
// packages may know a storage engine, what an exported API may mention and
// which package-level state is allowed. Its tests apply the rules to the module
// itself, so breaking one fails `go test ./...`; other tests prove on small
// invented modules that each rule refuses what it should.
//
// The rules are data in imports.go; start reading there. layers.go has the order of
// the layers, in which no import leads upwards. A package without a row or a layer is
// refused, so that a new folder has to say where it stands.
//
//	go test -v -run Drawing ./internal/archtest
//
// draws the layers with all packages and their imports.
//
// Checks return violations, one line each, and never stop at the first.
package archtest
