package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/pebble"
	"github.com/tito-db/tito-go/kv/tikv"
)

// driver is one kind of store: how its URL looks, and how to open it.
type driver struct {
	scheme string
	arg    string // what follows the colon; "" is nothing, for a store that ends with the program
	open   func(ctx context.Context, arg string) (*kv.Store, error)
}

var drivers = []driver{
	{"memory", "", func(context.Context, string) (*kv.Store, error) { return memory.Open(nil) }},
	{"pebble", "DIR", func(_ context.Context, dir string) (*kv.Store, error) { return pebble.Open(dir, nil) }},
	{"bolt", "FILE", func(_ context.Context, file string) (*kv.Store, error) { return bolt.Open(file, nil) }},
	{"tikv", "PD[,PD...][?prefix=PREFIX]", openTiKV},
}

// defaultPrefix is where the packages are in a cluster, which others use too.
const defaultPrefix = "tito-packages/"

// openTiKV opens a store by the addresses of PD servers, host:port.
func openTiKV(ctx context.Context, arg string) (*kv.Store, error) {
	servers, prefix, given := strings.Cut(arg, "?prefix=")
	if !given {
		prefix = defaultPrefix
	}
	return tikv.Open(ctx, strings.Split(servers, ","), &tikv.Options{Prefix: prefix})
}

// openStore opens the store of a URL. One that has to exist is not created,
// except in a cluster, where it is empty then.
func openStore(ctx context.Context, url string, mustExist bool) (*kv.Store, error) {
	scheme, arg, _ := strings.Cut(url, ":")
	for _, d := range drivers {
		if d.scheme != scheme {
			continue
		}
		switch {
		case (arg == "") != (d.arg == ""):
			return nil, fmt.Errorf("-store %s: it has the form %s:%s", url, d.scheme, d.arg)
		case mustExist && d.arg == "":
			return nil, fmt.Errorf("-store %s: nothing is in it before a load; query one of %s", url, storeForms(true))
		case mustExist && (d.arg == "DIR" || d.arg == "FILE"):
			if _, err := os.Stat(arg); err != nil {
				return nil, fmt.Errorf("-store %s: %w", url, err)
			}
		}
		store, err := d.open(ctx, arg)
		if err != nil {
			return nil, fmt.Errorf("-store %s: %w", url, err)
		}
		return store, nil
	}
	return nil, fmt.Errorf("-store %s: unknown scheme; there are %s", url, storeForms(false))
}

// storeForms lists the forms of store URLs.
func storeForms(lasting bool) string {
	var forms []string
	for _, d := range drivers {
		if d.arg != "" || !lasting {
			forms = append(forms, d.scheme+":"+d.arg)
		}
	}
	return strings.Join(forms, ", ")
}
