package queue

import (
	"github.com/tito-db/tito-go/internal/keyenc"
	"github.com/tito-db/tito-go/internal/layout"
)

func (q *Queue) groupKey(topic, group string) []byte {
	return keyenc.AppendString(keyenc.AppendString(layout.QueuePrefix(q.opts.Prefix, layout.KindGroup), topic), group)
}

// checkpointPrefix is the prefix of a group's checkpoints in a topic.
func (q *Queue) checkpointPrefix(group, topic string) []byte {
	return keyenc.AppendString(keyenc.AppendString(layout.QueuePrefix(q.opts.Prefix, layout.KindCheckpoint), group), topic)
}

// deadPrefix is the prefix of a group's dead letters in a topic.
func (q *Queue) deadPrefix(group, topic string) []byte {
	return keyenc.AppendString(keyenc.AppendString(layout.QueuePrefix(q.opts.Prefix, layout.KindDead), group), topic)
}
