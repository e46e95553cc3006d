package cluster

import (
	"encoding/binary"

	"github.com/tito-db/tito-go/internal/layout"
	"github.com/tito-db/tito-go/internal/rowenc"
	"github.com/tito-db/tito-go/queue/internal/access"
)

// ID names a Queue, and so a process, for as long as it lives.
type ID [8]byte

// Subject is what a worker reads. A worker without a group sequences the topic and
// shares no partitions.
type Subject struct{ Topic, Group string }

const memberFormat = 1

// Key returns the key of a member's row in a queue with this prefix.
func Key(prefix []byte, id ID) []byte { return append(KeyPrefix(prefix), id[:]...) }

// KeyPrefix returns the prefix of the keys of all members.
func KeyPrefix(prefix []byte) []byte { return layout.QueuePrefix(prefix, layout.KindMember) }

// AppendMember appends the row of a member that shows itself for the time beats.
func AppendMember(dst []byte, beats uint64, reads []Subject) []byte {
	dst = binary.AppendUvarint(append(dst, memberFormat), beats)
	dst = binary.AppendUvarint(dst, uint64(len(reads)))
	for _, s := range reads {
		dst = rowenc.AppendSized(rowenc.AppendSized(dst, s.Topic), s.Group)
	}
	return dst
}

// ParseMember returns what a member reads.
func ParseMember(row []byte) ([]Subject, error) {
	r := rowenc.NewReader(row)
	r.Format(memberFormat)
	r.Uvarint() // beats
	var reads []Subject
	for n := r.Uvarint(); n > 0 && !r.Failed(); n-- {
		topic := r.String()
		reads = append(reads, Subject{topic, r.String()})
	}
	return reads, r.Done(&access.RowErrors)
}
