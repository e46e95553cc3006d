package queue

import (
	"context"
	"slices"
	"sync"

	"github.com/tito-db/tito-go/queue/internal/eventlog"
)

// feed keeps one topic going in this process, while workers run on it: a Pump moves
// what was published to the log, and the feed tells the workers how far the log
// goes.
type feed struct {
	q      *Queue
	topic  string
	pump   *eventlog.Pump
	stop   context.CancelFunc
	exited chan struct{}

	mu      sync.Mutex
	workers []*Worker
}

// attach makes w one of the topic's workers, and starts the feed for the first.
func (q *Queue) attach(w *Worker, topic string, partitions int) *feed {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.feeds[topic]
	if f == nil {
		f = &feed{q: q, topic: topic, exited: make(chan struct{})}
		f.pump = eventlog.NewPump(q.store, q.keys, topic, partitions, eventlog.Listener{
			OwnedShards: func() uint32 { return q.cluster.OwnedShards(topic, eventlog.Shards) },
			LogGrew:     f.logGrew,
			Failed:      f.failed,
		})
		ctx, stop := context.WithCancel(context.Background())
		f.stop = stop
		q.feeds[topic] = f
		go func() {
			defer close(f.exited)
			f.pump.Run(ctx)
		}()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workers = append(f.workers, w)
	return f
}

// detach is the end of attach. After the last worker it waits for the feed to end.
func (q *Queue) detach(w *Worker, f *feed) {
	q.mu.Lock()
	f.mu.Lock()
	f.workers = slices.DeleteFunc(f.workers, func(x *Worker) bool { return x == w })
	ended := len(f.workers) == 0
	f.mu.Unlock()
	if ended {
		delete(q.feeds, f.topic)
		f.stop()
	}
	q.mu.Unlock()
	if ended {
		<-f.exited
	}
}

// logGrew tells the workers of partitions that have grown.
func (f *feed) logGrew(ends []eventlog.End) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workers {
		w.sched.LogGrew(ends)
	}
}

// failed ends the workers with an error that their store will not recover from.
func (f *feed) failed(err error) {
	if !f.q.store.Fatal(err) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workers {
		w.sched.Fail(err)
	}
}
