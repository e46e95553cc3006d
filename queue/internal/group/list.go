package group

// list is a first-in, first-out list of partitions.
type list struct {
	partitions []*Partition
	head       int
}

func (l *list) len() int { return len(l.partitions) - l.head }

func (l *list) push(p *Partition) { l.partitions = append(l.partitions, p) }

// pushFront puts back a partition that pop has just returned.
func (l *list) pushFront(p *Partition) {
	if l.head == 0 {
		l.partitions = append([]*Partition{p}, l.partitions...)
		return
	}
	l.head--
	l.partitions[l.head] = p
}

// pop returns nil if the list is empty.
func (l *list) pop() *Partition {
	if l.len() == 0 {
		return nil
	}
	p := l.partitions[l.head]
	l.partitions[l.head] = nil
	l.head++
	if l.head > len(l.partitions)/2 { // amortized: at most one move a pop
		l.partitions = l.partitions[:copy(l.partitions, l.partitions[l.head:])]
		l.head = 0
	}
	return p
}
