package keyenc

// Ascending tags; the descending tag is the complement. See the package comment.
const (
	tagMissing byte = 0x04
	tagNull    byte = 0x08
	tagFalse   byte = 0x0C
	tagTrue    byte = 0x0D
	tagZero    byte = 0x20 // integers: tagZero-8 to tagZero+8
	tagFloat   byte = 0x30
	tagTime    byte = 0x38
	tagUUID    byte = 0x40
	tagString  byte = 0x48
	tagBytes   byte = 0x50
	tagCustom  byte = 0x58
)

// Kind is the type of value a component holds. Kinds compare like their
// components sort. The numbers are not part of the storage format.
type Kind uint8

// The kinds in sort order.
const (
	KindInvalid Kind = iota // no component: empty input or an unused tag
	KindMissing             // no value because the record has no such field
	KindNull                // the field is there and holds no value
	KindBool                // false, then true
	KindInt                 // signed and unsigned integers on one number line
	KindFloat               // float64, NaN first
	KindTime                // an instant
	KindUUID                // 16 bytes
	KindString              // text or any bytes kept in a Go string
	KindBytes               // bytes
	KindCustom              // order-preserving bytes of a user's type
)

// String returns the kind's name as the package comment writes it.
func (k Kind) String() string {
	switch k {
	case KindMissing:
		return "missing"
	case KindNull:
		return "null"
	case KindBool:
		return "bool"
	case KindInt:
		return "integer"
	case KindFloat:
		return "float"
	case KindTime:
		return "time"
	case KindUUID:
		return "uuid"
	case KindString:
		return "string"
	case KindBytes:
		return "bytes"
	case KindCustom:
		return "custom"
	default:
		return "invalid"
	}
}

// KindOf tells kind and direction of the component that b begins with. It looks
// at the tag alone; the rest of the component may still be corrupt. Without a
// known tag the kind is KindInvalid.
func KindOf(b []byte) (kind Kind, desc bool) {
	tag, mask := readTag(b)
	return kindOfTag(tag), mask != 0
}

// readTag returns the ascending form of b's tag, 0 if b is empty, and the mask
// that turns b's bytes into ascending ones: 00 or FF.
func readTag(b []byte) (tag, mask byte) {
	if len(b) == 0 {
		return 0, 0
	}
	if b[0] >= 0x80 {
		mask = 0xFF
	}
	return b[0] ^ mask, mask
}

func kindOfTag(tag byte) Kind {
	switch tag {
	case tagMissing:
		return KindMissing
	case tagNull:
		return KindNull
	case tagFalse, tagTrue:
		return KindBool
	case tagFloat:
		return KindFloat
	case tagTime:
		return KindTime
	case tagUUID:
		return KindUUID
	case tagString:
		return KindString
	case tagBytes:
		return KindBytes
	case tagCustom:
		return KindCustom
	}
	if tagZero-8 <= tag && tag <= tagZero+8 {
		return KindInt
	}
	return KindInvalid
}
