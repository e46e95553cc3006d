// Package standin builds and runs the stand-in for a TiKV cluster: the programs
// internal/tikvcluster/pd and internal/tikvcluster/tikv, as processes on loopback.
//
// They are modules of their own, so that what they need weighs on nobody who uses
// this one. docs/development.md tells how the stand-in differs from TiKV.
package standin
