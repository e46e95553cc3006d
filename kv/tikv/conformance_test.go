package tikv_test
