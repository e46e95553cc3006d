package tito

import "time"

// Meta is what Tito keeps about a row beside the record.
type Meta struct {
	// Revision identifies the state in which a transaction left the row: every
	// transaction that writes the row gives it a higher one, also if the row was
	// deleted in between. Several writes in one transaction give the same. Zero
	// stands for a record that is not stored.
	Revision uint64

	// Created and Updated are the times of the first and the latest write,
	// in UTC with nanoseconds. Created survives updates.
	Created, Updated time.Time
}
