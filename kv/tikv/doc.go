package tikv
