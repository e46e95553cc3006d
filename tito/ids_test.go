package tito_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tito-db/tito-go/tito"
)

type (
	orderID  string
	smallInt int8
	smallUin uint16
	guid     [16]byte
)

// point is an id and an index field that encodes itself.
type point struct{ X, Y uint16 }

func (p point) AppendKey(dst []byte) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(dst, p.X), p.Y)
}

func parsePoint(b []byte) (point, error) {
	if len(b) != 4 {
		return point{}, fmt.Errorf("point of %d bytes", len(b))
	}
	return point{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])}, nil
}

// keyed is a record that does not store its id.
type keyed[ID comparable] struct {
	ID   ID `json:"-"`
	Note string
}

// testIDs writes and reads rows with the ids, which ascend, in every way.
func testIDs[ID comparable](t *testing.T, kind string, idOf tito.IDOf[keyed[ID], ID], ids ...ID) {
	t.Run(kind, func(t *testing.T) {
		stores(t, func(t *testing.T, open openStore) {
			table := tito.Define(tito.Schema[keyed[ID], ID]{Table: "keyed", ID: idOf,
				Indexes: tito.Indexes(tito.Index("note", tito.String(func(k *keyed[ID]) string { return k.Note }), &tito.IndexOptions[keyed[ID]]{Unique: true}))})
			ctx := context.Background()
			db, err := tito.Open(ctx, open(t, nil), nil, table)
			require.NoError(t, err)
			var recs []*keyed[ID]
			for i, id := range ids {
				recs = append(recs, &keyed[ID]{id, fmt.Sprint(i)})
			}
			shuffled := slices.Clone(recs)
			slices.Reverse(shuffled)
			update(t, db, func(ctx context.Context, tx *tito.Tx) {
				_, err := table.CreateMany(ctx, tx, shuffled, nil)
				require.NoError(t, err)
			})
			got, err := table.GetMany(ctx, db, ids)
			require.NoError(t, err)
			require.Equal(t, recs, got)
			i := 0
			for rec, err := range table.Scan().All(ctx, db) {
				require.NoError(t, err)
				require.Equal(t, recs[i], rec, "rows do not come in the order of their ids")
				i++
			}
			require.Equal(t, len(ids), i)
			i = 0
			for id, err := range table.Scan().IDs(ctx, db) {
				require.NoError(t, err)
				require.Equal(t, ids[i], id)
				i++
			}
			for i, id := range ids {
				update(t, db, func(ctx context.Context, tx *tito.Tx) {
					_, err := table.Create(ctx, tx, recs[i], nil)
					require.ErrorIs(t, err, tito.ErrExists)
					_, err = table.Patch(ctx, tx, id, func(k *keyed[ID]) error {
						require.Equal(t, id, k.ID)
						k.Note = fmt.Sprint("patched ", i)
						return nil
					}, nil)
					require.NoError(t, err)
					var dup *tito.DuplicateError
					_, err = table.Put(ctx, tx, &keyed[ID]{ids[(i+1)%len(ids)], fmt.Sprint("patched ", i)}, nil)
					require.ErrorAs(t, err, &dup)
					require.Equal(t, any(id), dup.Owner)
					require.NoError(t, table.Delete(ctx, tx, id, nil))
					exists, err := table.Exists(ctx, tx, id)
					require.NoError(t, err)
					require.False(t, exists)
					_, err = table.Create(ctx, tx, &keyed[ID]{id, fmt.Sprint("patched ", i)}, nil)
					require.NoError(t, err)
				})
			}
		})
	})
}

func TestIDKinds(t *testing.T) {
	testIDs(t, "string", tito.StringID(func(k *keyed[orderID]) *orderID { return &k.ID }), "\x00", "\x00\x01", "a", "a\x00", "aa", "b", "é")
	testIDs(t, "int", tito.IntID(func(k *keyed[int64]) *int64 { return &k.ID }), math.MinInt64, -257, -256, -1, 1, 255, 256, math.MaxInt64)
	testIDs(t, "int8", tito.IntID(func(k *keyed[smallInt]) *smallInt { return &k.ID }), -128, -1, 1, 127)
	testIDs(t, "uint", tito.UintID(func(k *keyed[uint64]) *uint64 { return &k.ID }), 1, 255, 256, math.MaxUint64)
	testIDs(t, "uint16", tito.UintID(func(k *keyed[smallUin]) *smallUin { return &k.ID }), 1, 256, math.MaxUint16)
	testIDs(t, "uuid", tito.UUIDID(func(k *keyed[guid]) *guid { return &k.ID }), guid{15: 1}, guid{1: 1}, guid{0xff, 15: 0xff})
	testIDs(t, "google uuid", tito.UUIDID(func(k *keyed[uuid.UUID]) *uuid.UUID { return &k.ID }), uuid.UUID{1}, uuid.UUID{2})
	testIDs(t, "custom", tito.CustomID(func(k *keyed[point]) *point { return &k.ID }, parsePoint), point{0, 1}, point{0, 256}, point{1, 0}, point{65535, 65535})
}

// An id of a smaller type refuses keys that it cannot hold, instead of taking
// one row for another.
func TestIDsOutOfRange(t *testing.T) {
	ctx := context.Background()
	store := memoryStore(t, nil)
	wide := tito.Define(tito.Schema[keyed[int64], int64]{Table: "keyed", ID: tito.IntID(func(k *keyed[int64]) *int64 { return &k.ID })})
	db, err := tito.Open(ctx, store, nil, wide)
	require.NoError(t, err)
	update(t, db, func(ctx context.Context, tx *tito.Tx) {
		_, err := wide.CreateMany(ctx, tx, []*keyed[int64]{{ID: -300}, {ID: 300}}, nil)
		require.NoError(t, err)
	})
	narrow := tito.Define(tito.Schema[keyed[int8], int8]{Table: "keyed", ID: tito.IntID(func(k *keyed[int8]) *int8 { return &k.ID })})
	unsigned := tito.Define(tito.Schema[keyed[uint8], uint8]{Table: "keyed", ID: tito.UintID(func(k *keyed[uint8]) *uint8 { return &k.ID })})
	db, err = tito.Open(ctx, store, nil, narrow)
	require.NoError(t, err)
	for _, reverse := range []bool{false, true} {
		q, u := narrow.Scan(), unsigned.Scan()
		if reverse {
			q, u = q.Reverse(), u.Reverse()
		}
		_, err = q.First(ctx, db)
		require.ErrorIs(t, err, tito.ErrCorrupt)
		other, err := tito.Open(ctx, store, nil, unsigned)
		require.NoError(t, err)
		_, err = u.First(ctx, other)
		require.ErrorIs(t, err, tito.ErrCorrupt)
	}
}

func TestGeneratedIDs(t *testing.T) {
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		texts := tito.Define(tito.Schema[keyed[orderID], orderID]{Table: "texts", ID: tito.StringID(func(k *keyed[orderID]) *orderID { return &k.ID })})
		uuids := tito.Define(tito.Schema[keyed[guid], guid]{Table: "uuids", ID: tito.UUIDID(func(k *keyed[guid]) *guid { return &k.ID })})
		intID := tito.IntID(func(k *keyed[int64]) *int64 { return &k.ID })
		ints := tito.Define(tito.Schema[keyed[int64], int64]{Table: "ints", ID: intID})
		n := int64(6)
		counted := tito.Define(tito.Schema[keyed[int64], int64]{Table: "counted", ID: intID.Generate(func() int64 { n++; return n })})
		broken := tito.Define(tito.Schema[keyed[int64], int64]{Table: "broken", ID: intID.Generate(func() int64 { return 0 })})
		none := tito.Define(tito.Schema[keyed[guid], guid]{Table: "none", ID: tito.UUIDID(func(k *keyed[guid]) *guid { return &k.ID }).Generate(nil)})
		db, err := tito.Open(ctx, open(t, nil), nil, texts, uuids, ints, counted, broken, none)
		require.NoError(t, err)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			var last orderID
			var lastUUID guid
			for range 100 {
				rec := &keyed[orderID]{}
				got, err := texts.Create(ctx, tx, rec, nil)
				require.NoError(t, err)
				require.Empty(t, rec.ID, "the argument was changed")
				id, err := uuid.Parse(string(got.ID))
				require.NoError(t, err)
				require.Equal(t, uuid.Version(7), id.Version())
				require.Greater(t, got.ID, last)
				last = got.ID
				bin, err := uuids.Put(ctx, tx, &keyed[guid]{}, nil)
				require.NoError(t, err)
				require.Equal(t, 1, slices.Compare(bin.ID[:], lastUUID[:]))
				lastUUID = bin.ID
			}
			many, err := counted.CreateMany(ctx, tx, []*keyed[int64]{{}, {ID: 3}, {}}, nil)
			require.NoError(t, err)
			require.Equal(t, []int64{7, 3, 8}, []int64{many[0].ID, many[1].ID, many[2].ID})
			_, err = ints.Create(ctx, tx, &keyed[int64]{}, nil)
			require.ErrorIs(t, err, tito.ErrNoID)
			_, err = broken.Create(ctx, tx, &keyed[int64]{}, nil)
			require.ErrorIs(t, err, tito.ErrNoID)
			_, err = none.Create(ctx, tx, &keyed[guid]{}, nil)
			require.ErrorIs(t, err, tito.ErrNoID)
			_, err = texts.Update(ctx, tx, &keyed[orderID]{}, nil)
			require.ErrorIs(t, err, tito.ErrNoID, "an update generates nothing")
		})
	})
}

// fields has a field of each kind.
type fields struct {
	ID     int64
	String orderID
	Bytes  []byte
	Bool   bool
	Int    smallInt
	Uint   uint64
	Float  float32
	Time   time.Time
	UUID   guid
	Custom point
	Maybe  *string
}

// Each kind of field is found by its value, alone and in both directions.
func TestFieldKinds(t *testing.T) {
	word := "x"
	recs := []*fields{
		{ID: 1, Bytes: []byte{}, Int: -128, Float: float32(math.Inf(-1)), Time: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)},
		{ID: 2, String: "a", Bytes: []byte{0}, Int: -1, Uint: 1, Float: -1, Time: time.Unix(0, 0).UTC(), UUID: guid{1}, Custom: point{0, 1}},
		{ID: 3, String: "b", Bytes: []byte{0xff}, Bool: true, Int: 127, Uint: math.MaxUint64, Float: 2.5, Time: time.Unix(0, 1).UTC(), UUID: guid{2}, Custom: point{1, 0}, Maybe: &word},
	}
	opts := &tito.IndexOptions[fields]{}
	str := tito.String(func(f *fields) orderID { return f.String })
	maybe := tito.Opt(func(f *fields) *string { return f.Maybe }, tito.String(tito.Self[string]))
	pick := func(desc bool) ([]tito.AnyIndex[fields], func(f *fields) []tito.Condition[fields]) {
		d := func(name string) string { return fmt.Sprint(name, desc) }
		byString := tito.Index(d("string"), directed(str, desc), opts)
		byBytes := tito.Index(d("bytes"), directed(tito.Bytes(func(f *fields) []byte { return f.Bytes }), desc), opts)
		byBool := tito.Index(d("bool"), directed(tito.Bool(func(f *fields) bool { return f.Bool }), desc), opts)
		byInt := tito.Index(d("int"), directed(tito.Int(func(f *fields) smallInt { return f.Int }), desc), opts)
		byUint := tito.Index(d("uint"), directed(tito.Uint(func(f *fields) uint64 { return f.Uint }), desc), opts)
		byFloat := tito.Index(d("float"), directed(tito.Float(func(f *fields) float32 { return f.Float }), desc), opts)
		byTime := tito.Index(d("time"), directed(tito.Time(func(f *fields) time.Time { return f.Time }), desc), opts)
		byUUID := tito.Index(d("uuid"), directed(tito.UUID(func(f *fields) guid { return f.UUID }), desc), opts)
		byCustom := tito.Index(d("custom"), directed(tito.Custom(func(f *fields) point { return f.Custom }), desc), opts)
		byMaybe := tito.Index(d("maybe"), directed(maybe, desc), opts)
		return tito.Indexes[fields](byString, byBytes, byBool, byInt, byUint, byFloat, byTime, byUUID, byCustom, byMaybe),
			func(f *fields) []tito.Condition[fields] {
				all := []tito.Condition[fields]{byString.Eq(f.String), byBytes.Eq(f.Bytes), byInt.Eq(f.Int), byUint.Eq(f.Uint),
					byFloat.Eq(f.Float), byTime.Eq(f.Time.In(time.FixedZone("other", 3600))), byUUID.Eq(f.UUID), byCustom.Eq(f.Custom)}
				if f.Bool {
					all = append(all, byBool.Eq(true))
				}
				if f.Maybe != nil {
					all = append(all, byMaybe.Eq(*f.Maybe))
				}
				return all
			}
	}
	up, upEq := pick(false)
	down, downEq := pick(true)
	table := tito.Define(tito.Schema[fields, int64]{
		Table: "fields", ID: tito.IntID(func(f *fields) *int64 { return &f.ID }), Indexes: append(up, down...),
		Codec: infCodec{},
	})
	stores(t, func(t *testing.T, open openStore) {
		ctx := context.Background()
		db, err := tito.Open(ctx, open(t, nil), nil, table)
		require.NoError(t, err)
		update(t, db, func(ctx context.Context, tx *tito.Tx) {
			_, err := table.CreateMany(ctx, tx, recs, nil)
			require.NoError(t, err)
		})
		for _, rec := range recs {
			got, err := table.Get(ctx, db, rec.ID)
			require.NoError(t, err)
			require.Equal(t, rec, got)
			for i, c := range append(upEq(rec), downEq(rec)...) {
				got, err := table.Where(c).One(ctx, db)
				require.NoError(t, err, "condition %d of row %d", i, rec.ID)
				require.Equal(t, rec, got)
			}
		}
	})
}

func directed[T, V any](f tito.Field[T, V], desc bool) tito.Field[T, V] {
	if desc {
		return f.Desc().Desc() // the second changes nothing
	}
	return f
}

// infCodec is a codec of the user's: JSON that can hold the infinite float.
type infCodec struct{}

func (infCodec) ID() uint8 { return 64 }

func (infCodec) Append(dst []byte, rec any) ([]byte, error) {
	f := *rec.(*fields)
	bits := math.Float32bits(f.Float)
	f.Float = 0
	b, err := json.Marshal(&f)
	return append(binary.BigEndian.AppendUint32(dst, bits), b...), err
}

func (infCodec) Decode(data []byte, rec any) error {
	if len(data) < 4 {
		return fmt.Errorf("%d bytes", len(data))
	}
	f := rec.(*fields)
	err := json.Unmarshal(data[4:], f)
	f.Float = math.Float32frombits(binary.BigEndian.Uint32(data))
	return err
}
