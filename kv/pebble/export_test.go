package pebble

import (
	"github.com/cockroachdb/pebble/v2"
)

// Tune returns o with a function that changes what the engine is opened with.
func Tune(o Options, tune func(*pebble.Options)) *Options {
	o.tune = tune
	return &o
}

// Engine returns what the engine is opened with.
func (o *Options) Engine() *pebble.Options {
	d, err := o.withDefaults()
	if err != nil {
		panic(err)
	}
	return d.engine()
}
