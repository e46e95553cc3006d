package tikv_test

import (
	"context"
	"errors"
	"log"
	"log/slog"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/kv/tikv"
)

// It is compiled and not run: it needs a cluster.
func ExampleOpen() {
	ctx := context.Background()
	store, err := tikv.Open(ctx, []string{"127.0.0.1:2379"}, &tikv.Options{
		Prefix: "example/",
		Logger: slog.Default(),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	err = store.Update(ctx, func(tx *kv.Txn) error {
		return tx.Set([]byte("greeting"), []byte("hello"))
	})
	if err != nil {
		log.Fatal(err)
	}
}

// In a cluster without TiDB, each process that is always there collects garbage
// beside its work.
func ExampleRunGC() {
	ctx, stop := context.WithCancel(context.Background())
	store, err := tikv.Open(ctx, []string{"127.0.0.1:2379"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tikv.RunGC(ctx, store, nil) }()

	// ... serve ...

	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		log.Print(err)
	}
	_ = store.Close()
}
