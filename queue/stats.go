package queue

// Stats is how far a group is with a topic, in one snapshot.
type Stats struct {
	Events uint64 // in the log
	Done   uint64 // how many of Events were handled or given up
	Inbox  uint64 // published, and not in the log yet
	Dead   uint64 // dead letters that are there
}

// Lag is how many events are not done yet.
func (s Stats) Lag() uint64 { return s.Events - s.Done + s.Inbox }
