// Package tikv is the driver of kv for TiKV, a distributed store: any number of
// processes on one cluster, whose servers replicate what they hold.
//
//	store, err := tikv.Open(ctx, []string{"pd-0:2379", "pd-1:2379", "pd-2:2379"}, &tikv.Options{
//		Prefix: "orders/",
//		TLS:    &tikv.TLS{CA: "ca.pem", Cert: "client.pem", Key: "client.key"},
//		Logger: slog.Default(),
//	})
//
// # Connecting
//
// Open needs the address of one PD server that answers; name all of them, since
// any may be down when a process starts. It finds the others, and TiKV's, by
// what PD says, so the addresses that the servers advertise have to be reachable
// from the client. A store keeps some connections to each server and is meant
// to live as long as the process: open one for each prefix. It recovers by
// itself when servers go and come back, within a few seconds as a rule.
//
// Servers and clients talk in the clear unless Options.TLS is set. Whoever can
// reach a cluster can read and write all of it: TiKV knows no users.
//
// # Prefixes
//
// Options.Prefix puts a store's keys apart from all others in the cluster, and
// costs its length on the wire with each key. Stores with different prefixes
// never see each other's keys, even if one prefix begins with the other. What
// kv sees, bounds of scans among it, is without the prefix.
//
// The first to open a prefix decides the lifetime of its read-write
// transactions, kv.Options.TxnLifetime; it is kept in the cluster, and another
// one later is kv.ErrOptions. docs/format.md tells what is stored where.
//
// # Guarantees
//
// They are kv's. Transactions are TiKV's optimistic ones: they read at one
// timestamp of PD's, lock nothing until they commit, and the first committer
// wins. One is refused, too, where it meets the lock of a later transaction that
// is about to commit, though that may fail in the end, or the mark that such a
// transaction left in one region when another region refused it. kv.Txn.Lock costs
// no request; it goes along with the commit. A commit that is acknowledged is on
// the disks of a majority of the replicas, there is no kv.NoSync, and is seen by
// every transaction that begins afterwards, in whatever process.
//
// No transaction has a commit version later than 2 s past its lifetime, by PD's
// clock, even if its process is stopped in the middle of the commit and goes on
// an hour later. What was on its way then may reach the servers that late, with
// the version of before: it succeeds only if nobody has met its locks meanwhile,
// nor read at a later version what it had yet to lock. Its locks stand in
// nobody's way: they expire within 20 s and are removed by whoever meets them.
// Until then a reader that meets the lock of a process that died waits, for some
// 3 s as a rule.
//
// kv.Store's Watermark therefore trails the newest version by the lifetime and
// 22 s, and costs a request. What it says holds for those who read at a later
// version.
//
// Commits of transactions that run side by side and have no key in common may
// have the same version.
//
// # Errors
//
// Begin and reads that find no server to answer them fail with
// kv.ErrUnavailable after Options.Timeout. A commit ends in
// kv.ErrCommitUnknown if an answer has got lost and nobody could be asked what
// became of it; where it is certain that nothing was written, the error says
// so. Errors never show keys; the client library's own error can be had by
// errors.As, and its text may.
//
// # Sizes and costs
//
// Keys and values have kv's limits; TiKV's own are far above the first. A
// transaction writes 10 MiB at most unless kv.Options.MaxTxnSize says
// otherwise; all of it is in this process's memory, and some tens of MiB is
// where TiKV begins to suffer. What decides about speed is how many requests
// an operation needs, one after the other:
//
//	Begin                        1 to PD
//	Get, BatchGet                1 to TiKV; one for each region, side by side
//	Scan                         1 for 256 pairs, or ScanOptions.PageSize; 1 for each region on the way
//	Commit, up to 16 KiB in one region     1 to PD, 1 to TiKV
//	Commit, up to 256 keys and 4 KiB of them    1 to PD, 1 to each region, side by side
//	Commit of more               2 to PD, 2 rounds to the regions
//
// A view that reads nothing, and an Update that writes nothing, cost the one to
// PD.
//
// # Garbage
//
// TiKV keeps each version of each key until it is told that nobody reads it any
// more. TiDB does that; in a cluster without one, call [RunGC] in a process that
// always runs, or in all of them. Open logs a warning if nobody does. Never call
// it beside a TiDB. No view can be older than GCOptions.Window, an hour.
//
// # The client library
//
// The driver stands on github.com/tikv/client-go, and needs no more of its
// process-wide configuration than the defaults, except for TLS: Open sets the
// library's Security, so that the stores which a process has open use the same
// files, or none: Open with another TLS than theirs is kv.ErrOptions. A
// program that uses the library itself must leave AsyncCommit.SafeWindow and the
// lock TTL as they are. The
// library has one logger for the whole process; the first Open replaces it, so
// that it is quiet, and its lines go to the Logger of every store that is open.
//
// # What was tested on what
//
// kv's whole conformance suite, on stores in one region and in many that are
// split meanwhile, passes on this project's stand-in for TiKV: the original PD
// and, in place of TiKV, TiDB's Go implementation of its protocol, with mends
// (internal/tikvcluster tells which), and on the client library's own model. So
// do crashes and pauses of the servers and of clients, the model aside. No image
// of the original TiKV could be had where this was written; the tests take one
// where they find it, and the images pingcap/pd and pingcap/tikv of the v8.5
// line are their default.
//
// # Reading the source
//
// tikv.go and options.go are Open, connect.go and steady.go make a client, gc.go
// collects garbage. The driver itself is internal/engine, internal/clientlog and
// internal/clienttls deal with what the library has one of for the process, tikvtest is for tests of programs.
package tikv
