package occ

import "github.com/tito-db/tito-go/kv"

// Request is one transaction's part in a group commit.
type Request struct {
	Ticket *Ticket
	Commit *kv.Commit

	// The answer: the commit's version, or 0 and why it did not happen.
	Version kv.Version
	Err     error
}

// CommitGroup is Commit for several transactions that share one write of the
// engine and become visible together. It checks each transaction against what
// committed after its snapshot, and against the transactions before it in the group
// that passed. It calls apply once with the requests that pass, in the order of
// their versions, unless none passes; apply's error is the answer to all these
// requests. Snapshots must see the version of the last request.
func (c *Controller) CommitGroup(group []*Request, apply func(passed []*Request) error) {
	c.commit.Lock()
	defer c.commit.Unlock()
	passed := c.check(group)
	if len(passed) == 0 {
		return
	}
	if err := apply(passed); err != nil {
		for _, r := range passed {
			r.Version, r.Err = 0, err
		}
		return
	}
	c.published.Store(uint64(passed[len(passed)-1].Version))
	tickets := make([]*Ticket, len(passed))
	for i, r := range passed {
		tickets[i] = r.Ticket
	}
	if c.retire(tickets...) {
		for _, r := range passed {
			c.memory.add(r.Version, r.Commit)
		}
	}
}

// check gives a version to each request without a conflict, and returns these
// requests. It answers the others.
func (c *Controller) check(group []*Request) []*Request {
	defer c.group.reset()
	passed := make([]*Request, 0, len(group))
	for _, r := range group {
		if r.Err = c.memory.check(r.Ticket.read, r.Commit); r.Err != nil {
			continue
		}
		// Versions of the group are above every snapshot's, so each key in it counts.
		if r.Err = c.group.check(r.Ticket.read, r.Commit); r.Err != nil {
			continue
		}
		if r.Version, r.Err = c.next(); r.Err != nil {
			continue
		}
		passed = append(passed, r)
		if len(group) > 1 {
			c.group.add(r.Version, r.Commit)
		}
	}
	return passed
}
