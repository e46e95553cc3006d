package eventlog

import (
	"sync/atomic"

	"github.com/tito-db/tito-go/kv"
	"github.com/tito-db/tito-go/queue/internal/keyhash"
)

// Inbox puts the messages of one Queue into the inboxes of their topics. It is safe
// for any number of goroutines.
type Inbox struct {
	keys  Keys
	nonce uint64
	count atomic.Uint64 // of messages so far
}

// NewInbox returns an Inbox. The nonce tells it apart from all others of the store.
func NewInbox(keys Keys, nonce uint64) *Inbox { return &Inbox{keys: keys, nonce: nonce} }

// Put writes a message's row as part of tx, and returns the shard that it is in. It
// builds the row in buf, which it returns for the next one.
func (in *Inbox) Put(tx *kv.Txn, m *Message, buf []byte) (shard int, row []byte, err error) {
	count := in.count.Add(1)
	hash := keyhash.Of(m.Key)
	if m.Key == "" {
		hash = keyhash.Mix(in.nonce + count) // a different place for each
	}
	shard = ShardOf(hash)
	pos := InboxPos{Version: tx.ReadVersion(), Nonce: in.nonce, Count: count}
	key := pos.Append(append(in.keys.Inbox(m.Topic), byte(shard)))
	row = m.AppendRow(buf[:0], hash)
	return shard, row, tx.Set(key, row)
}
