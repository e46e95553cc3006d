// Package tikvtest gives tests a store in TiKV: in a cluster that runs already,
// in one that it starts, or in the client library's own model of one.
//
//	var servers tikvtest.Servers
//
//	func TestMain(m *testing.M) { os.Exit(servers.Tests(m).Run()) }
//
//	func TestOrders(t *testing.T) {
//		store := servers.Open(t, nil)
//		...
//	}
//
// What the environment offers is tried in this order, and each test logs what
// it was given:
//
//  1. TITO_TIKV_PD=host:port,host:port names the PD servers of a cluster.
//  2. A Docker engine that has, or can pull, the images pingcap/pd and
//     pingcap/tikv, or those that TITO_PD_IMAGE and TITO_TIKV_IMAGE name: the
//     process starts one server of each, which all of its tests share.
//  3. The library's model, inside the process. It knows transactions and
//     regions, and neither latency nor failure; see Kind for what it lacks.
//
// With TITO_REQUIRE_TIKV=1 the last is a failure of the test.
//
// Each store has a prefix of its own and is empty. When the test ends the store
// is closed, if it has not been, and its keys are deleted.
package tikvtest
