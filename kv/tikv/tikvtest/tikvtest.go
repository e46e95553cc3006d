package tikvtest
