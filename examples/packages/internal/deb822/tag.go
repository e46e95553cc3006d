package deb822

// Tags returns the distinct tags of the named field (as a rule "Tag") in
// ascending order, and nil if there are none. An absent field has none. The
// strings are copies.
//
// Tags are separated by commas; "suite::{a,b}" is short for "suite::a, suite::b".
// A tag consists of ASCII letters, digits and "+-._:".
//
// The error of a malformed field is a [*SyntaxError] with the line in which the
// field begins.
func (s *Stanza) Tags(field string) ([]string, error) {
	var tags []string
	err := s.list(field, "tag", func(sc *scanner) error {
		prefix := sc.word(tagBytes)
		if len(prefix) == 0 {
			return sc.errorf("missing name")
		}
		if !sc.accept('{') {
			tags = append(tags, string(prefix))
			return nil
		}
		for {
			sc.blanks()
			word := sc.word(tagBytes)
			if len(word) == 0 {
				return sc.errorf("missing name between braces")
			}
			tags = append(tags, string(prefix)+string(word))
			if sc.blanks(); sc.accept('}') {
				return nil
			}
			if !sc.accept(',') {
				return sc.errorf("missing closing brace")
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return distinct(tags), nil
}

const tagBytes = "+-._:"
