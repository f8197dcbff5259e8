package nodetest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// An id has a coding of its own.
type id [16]byte

func (i id) MarshalBinary() ([]byte, error)  { return i[:], nil }
func (i *id) UnmarshalBinary(b []byte) error { copy(i[:], b); return nil }

type ticketV1 struct{ Seat string }

type ticketV2 struct{ Seats []string }

func tickets[S any](cfg sessionproc.KindConfig) sessionproc.AnyKind {
	return sessionproc.NewKind(sessionproc.KindOf[sessionproc.None]("ticket"),
		func(context.Context, sessionproc.None) (*S, error) { return new(S), nil }, cfg)
}

// States of earlier schemas have to pass Migrate.
func TestCheckKindMigratesStatesOfEarlierSchemas(t *testing.T) {
	dir := t.TempDir()
	v1 := ticketV1{Seat: "4A"}
	require.Empty(t, check(t, tickets[ticketV1](sessionproc.KindConfig{}), dir, true, v1))
	require.Empty(t, check(t, tickets[ticketV1](sessionproc.KindConfig{Schema: 1}), dir, true, v1))
	for _, name := range []string{"state-001.golden", "state.schema-1-001.golden"} {
		_, err := os.Stat(filepath.Join(dir, "ticket", name))
		require.NoError(t, err)
	}

	migrate := sessionproc.MigrateFrom(func(from int, old ticketV1) (*ticketV2, error) {
		if from < 1 {
			return nil, errors.New("too old")
		}
		return &ticketV2{Seats: []string{old.Seat}}, nil
	})
	v2 := ticketV2{Seats: []string{"4A"}}
	complaint := check(t, tickets[ticketV2](sessionproc.KindConfig{Schema: 2, Migrate: migrate}), dir, true, v2)
	require.Contains(t, complaint, "too old")
	require.NotContains(t, complaint, "schema-1")
	require.NoError(t, os.Remove(filepath.Join(dir, "ticket", "state-001.golden")))
	require.Empty(t, check(t, tickets[ticketV2](sessionproc.KindConfig{Schema: 2, Migrate: migrate}), dir, false, v2))

	require.Contains(t, check(t, tickets[ticketV1](sessionproc.KindConfig{Schema: 1}), dir, false, v1), "schema 2",
		"a rollback to a lower schema")
}

// keyed has keys that are bytes on the wire, and a field that does not travel.
type keyed struct {
	ByID map[id]string
	Memo []string `msgpack:"-,omitempty"`
}

func TestCheckKindUnderstandsKeysOfBytes(t *testing.T) {
	ref := sessionproc.KindOf[sessionproc.None]("keyed")
	kind := func() sessionproc.AnyKind {
		return sessionproc.NewKind(ref, func(context.Context, sessionproc.None) (*keyed, error) { return new(keyed), nil },
			sessionproc.KindConfig{})
	}
	sample := keyed{map[id]string{{1}: "a", {2}: "b"}, []string{"memo"}}
	dir := t.TempDir()
	require.Empty(t, check(t, kind(), dir, true, sample))
	require.Empty(t, check(t, kind(), dir, false, sample))
}
