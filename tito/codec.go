package tito

import (
	"encoding/json"
)

// Codec turns records into bytes and back. It is used by many goroutines.
type Codec interface {
	// ID is stored with every row, so that rows outlive a change of codec. Ids
	// below 64 are Tito's.
	ID() uint8

	// Append appends the encoding of the record that rec, a *T, points to.
	Append(dst []byte, rec any) ([]byte, error)

	// Decode sets the record that rec, a *T, points to, from data, which it
	// must not keep. The record is zero before.
	Decode(data []byte, rec any) error
}

// JSON is the default codec.
func JSON() Codec { return jsonCodec{} }

type jsonCodec struct{}

func (jsonCodec) ID() uint8 { return 1 }

func (jsonCodec) Append(dst []byte, rec any) ([]byte, error) {
	b, err := json.Marshal(rec)
	return append(dst, b...), err
}

func (jsonCodec) Decode(data []byte, rec any) error { return json.Unmarshal(data, rec) }
