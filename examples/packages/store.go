package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/bolt"
	"github.com/tito-db/tito-go/kv/memory"
	"github.com/tito-db/tito-go/kv/pebble"
)

// driver is one kind of store: how its URL looks, and how to open it.
type driver struct {
	scheme string
	arg    string // what follows the colon; "" is nothing, for a store that ends with the program
	open   func(arg string) (*kv.Store, error)
}

var drivers = []driver{
	{"memory", "", func(string) (*kv.Store, error) { return memory.Open(nil) }},
	{"pebble", "DIR", func(dir string) (*kv.Store, error) { return pebble.Open(dir, nil) }},
	{"bolt", "FILE", func(file string) (*kv.Store, error) { return bolt.Open(file, nil) }},
}

// openStore opens the store of a URL. One that has to exist is not created.
func openStore(url string, mustExist bool) (*kv.Store, error) {
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
		store, err := d.open(arg)
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
