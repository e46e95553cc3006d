// Package engine is the TiKV driver over a client that exists: kv/tikv connects
// one to a cluster, tests make one of a mock.
//
// # Reading the source
//
// engine.go opens and closes, keyspace.go says where a store's keys lie in the
// cluster, settings.go what the driver itself keeps there. txn.go is a
// transaction, commit.go its commit, cursor.go a walk and page.go the request
// behind it. errors.go says what the client's errors mean.
package engine
