package sessionproc

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

type (
	veiled       struct{ secret int }
	digits       int
	embedsNumber struct{ digits }
	halfCoded    struct{ N int } // has one of the two methods of a state
)

var _, _ = veiled{secret: 1}, embedsNumber{digits: 1} // they are used

func (*halfCoded) UnmarshalState([]byte) error { return nil }

// The types that MigrateFrom reads and writes are checked as states are.
func TestTheTypesOfMigrateFromAreChecked(t *testing.T) {
	type state struct{ N int }
	ref := KindOf[None]("migrated")
	fault := func(migrate func(int, []byte) ([]byte, error)) error {
		k := NewKind(ref, func(context.Context, None) (*state, error) { return nil, nil },
			KindConfig{Schema: 1, Migrate: migrate})
		return k.core.Check()
	}
	require.NoError(t, fault(MigrateFrom(func(int, state) (*state, error) { return nil, nil })))
	require.NoError(t, fault(func(from int, b []byte) ([]byte, error) { panic("a program's own is not called") }))
	for what, migrate := range map[string]func(int, []byte) ([]byte, error){
		"MigrateFrom: sessionproc.veiled.secret is unexported": MigrateFrom(func(int, veiled) (*state,
			error) {
			return nil, nil
		}),
		"Old of its MigrateFrom: sessionproc.halfCoded has UnmarshalState, but no": MigrateFrom(func(int,
			halfCoded) (*state, error) {
			return nil, nil
		}),
		"Old of its MigrateFrom: struct { V interface {} }.V is an interface": MigrateFrom(func(int,
			struct{ V any }) (*state, error) {
			return nil, nil
		}),
		"New of its MigrateFrom: sessionproc.embedsNumber.digits is unexported and would": MigrateFrom(func(int,
			state) (*embedsNumber, error) {
			return nil, nil
		}),
	} {
		require.ErrorContains(t, fault(migrate), what)
		_, err := migrate(0, []byte{0x80})
		require.ErrorContains(t, err, what, "where a program's own calls it")
	}
}
