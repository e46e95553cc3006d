package deb822

// Dependencies returns the distinct names of the packages that the named
// fields (as a rule "Depends" and "Pre-Depends") ask for, in ascending order,
// and nil if there are none. An absent field has none. The strings are copies.
//
// The fields have the syntax of relations in section 7.1 of the Debian policy:
//
//	name[:arch] [(op version)] [[arch ...]] [<profile ...>] [| ...], ...
//
// Of alternatives only the first counts, though all of them must be well
// formed. A version constraint, an architecture qualifier such as ":any" and
// lists of architectures and build profiles narrow down which package of that
// name will do; they are not part of the name and are dropped. Names have the
// characters that dpkg accepts, and are returned as written.
//
// The error of a malformed field is a [*SyntaxError] with the line in which the
// field begins.
func (s *Stanza) Dependencies(fields ...string) ([]string, error) {
	var names []string
	for _, field := range fields {
		err := s.list(field, "dependency", func(sc *scanner) error {
			first, err := sc.relation()
			if err != nil {
				return err
			}
			names = append(names, string(first))
			for sc.accept('|') {
				sc.blanks()
				if _, err := sc.relation(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return distinct(names), nil
}

// relation reads one alternative and the blanks behind it, and returns the name
// in it.
func (sc *scanner) relation() ([]byte, error) {
	name := sc.word("+-._")
	if len(name) == 0 || !isAlnum(name[0]) {
		return nil, sc.errorf("missing package name")
	}
	if sc.accept(':') && len(sc.word("-")) == 0 {
		return nil, sc.errorf("missing architecture behind a colon")
	}
	sc.blanks()
	if sc.accept('(') {
		if err := sc.version(); err != nil {
			return nil, err
		}
		sc.blanks()
	}
	if sc.accept('[') {
		if inner, ok := sc.until(']'); !ok || onlyBlanks(inner) {
			return nil, sc.errorf("malformed list of architectures")
		}
		sc.blanks()
	}
	for sc.accept('<') {
		if inner, ok := sc.until('>'); !ok || onlyBlanks(inner) {
			return nil, sc.errorf("malformed list of build profiles")
		}
		sc.blanks()
	}
	return name, nil
}

// version reads a version constraint from behind its "(" to its ")".
func (sc *scanner) version() error {
	sc.blanks()
	var ok bool
	switch {
	case sc.accept('='):
		ok = true
	case sc.accept('<'): // "<" and ">" alone are obsolete, but in use
		ok = true
		_ = sc.accept('<') || sc.accept('=')
	case sc.accept('>'):
		ok = true
		_ = sc.accept('>') || sc.accept('=')
	}
	if !ok {
		return sc.errorf("missing operator of a version constraint")
	}
	sc.blanks()
	if len(sc.word(".+-~:")) == 0 {
		return sc.errorf("missing version")
	}
	sc.blanks()
	if !sc.accept(')') {
		return sc.errorf("missing closing parenthesis")
	}
	return nil
}

func onlyBlanks(b []byte) bool {
	for _, c := range b {
		if !isBlank(c) && c != '\n' {
			return false
		}
	}
	return true
}
