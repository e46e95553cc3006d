package tikv_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	clientkv "github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/txnkv/txnsnapshot"

	"github.com/tito-db/tito-go/kv"
)

// byHand does with the client library what a program does that has no kv.
type byHand struct {
	client *clientkv.KVStore
	prefix string
}

func newByHand(t testing.TB, s *kv.Store, prefix string) byHand {
	t.Helper()
	h := byHand{prefix: prefix}
	require.True(t, s.As(&h.client))
	return h
}

func (h byHand) key(k []byte) []byte { return append([]byte(h.prefix), k...) }

func (h byHand) snapshot() (*txnsnapshot.KVSnapshot, error) {
	ts, err := h.client.CurrentTimestamp("global")
	if err != nil {
		return nil, err
	}
	return h.client.GetSnapshot(ts), nil
}

func (h byHand) begin() error {
	_, err := h.snapshot()
	return err
}

func (h byHand) get(ctx context.Context, key []byte) error {
	s, err := h.snapshot()
	if err != nil {
		return err
	}
	_, err = s.Get(ctx, h.key(key))
	return err
}

func (h byHand) batchGet(ctx context.Context, keys [][]byte) error {
	s, err := h.snapshot()
	if err != nil {
		return err
	}
	stored := make([][]byte, len(keys))
	for i, k := range keys {
		stored[i] = h.key(k)
	}
	found, err := s.BatchGet(ctx, stored)
	if err == nil && len(found) < len(keys) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// scan has no context to give, so that the library's calls are not counted.
func (h byHand) scan(start []byte, limit int, reverse bool) error {
	s, err := h.snapshot()
	if err != nil {
		return err
	}
	var it clientIterator
	if reverse {
		it, err = s.IterReverse(h.key(start), []byte(h.prefix))
	} else {
		it, err = s.Iter(h.key(start), h.key([]byte{0xFF}))
	}
	if err != nil {
		return err
	}
	defer it.Close()
	for n := 0; n < limit; n++ {
		if !it.Valid() || len(it.Value()) == 0 {
			return io.ErrUnexpectedEOF
		}
		if n == limit-1 {
			break
		}
		if err := it.Next(); err != nil {
			return err
		}
	}
	return nil
}

type clientIterator interface {
	Valid() bool
	Key() []byte
	Value() []byte
	Next() error
	Close()
}

func (h byHand) update(ctx context.Context, read []byte, writes []kv.Write) error {
	tx, err := h.client.Begin()
	if err != nil {
		return err
	}
	tx.SetEnable1PC(true)
	tx.SetEnableAsyncCommit(true)
	if read != nil {
		if _, err := tx.Get(ctx, h.key(read)); err != nil {
			return err
		}
	}
	for _, w := range writes {
		if err := tx.Set(h.key(w.Key), w.Value); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

func (h byHand) load(ctx context.Context, pairs []kv.Pair) error {
	const chunk = 1000
	for len(pairs) > 0 {
		n := min(chunk, len(pairs))
		writes := make([]kv.Write, n)
		for i, p := range pairs[:n] {
			writes[i] = kv.Write(p)
		}
		if err := h.update(ctx, nil, writes); err != nil {
			return err
		}
		pairs = pairs[n:]
	}
	return nil
}
