package kvtest

// testCase is one property of the contract. It runs on a fresh store.
type testCase struct {
	name  string
	run   func(f *fixture)
	needs capability
	alone bool // not beside other cases
}

// group is a set of cases with one subject.
type group struct {
	name  string
	cases []testCase
}

// groups lists the suite.
func groups() []group {
	return []group{
		{"Functional", concat(keyCases(), limitCases(), readCases(), ownershipCases(), transactionCases(),
			savepointCases(), updateCases(), storeCases(), closeCases(), contextCases(), lifetimeCases(), reopenCases())},
		{"Iterators", concat(productCases(), cursorCases())},
		{"Isolation", concat(anomalyCases(), lockCases(), conflictCases(), concurrentCases())},
		{"Programs", programCases()},
		{"Histories", historyCases()},
		{"Crashes", crashCases()},
		{"Faults", faultCases()},
		{"Endurance", enduranceCases()},
	}
}

func concat(lists ...[]testCase) []testCase {
	var all []testCase
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
