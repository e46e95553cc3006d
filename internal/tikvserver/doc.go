// Package tikvserver finds or starts TiKV servers for tests, in this order:
//
//  1. a running cluster that TITO_TIKV_PD names (host:port,host:port);
//  2. containers of TITO_PD_IMAGE and TITO_TIKV_IMAGE, the original images by
//     default, where a Docker engine answers and has the images or can pull them;
//  3. the stand-in of internal/tikvcluster as processes, where TITO_TIKV_STANDIN
//     names the folder with its programs.
//
// With none of these a test uses what it has without servers, such as client-go's
// mock, and the reason is logged; with TITO_REQUIRE_TIKV=1 it fails. Containers
// that could be made but do not work fail the test either way.
//
// Start reading at Servers.
package tikvserver
