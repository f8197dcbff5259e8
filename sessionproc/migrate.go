package sessionproc

import (
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"sync"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// MigrateFrom makes a KindConfig.Migrate of a function between types: Old is
// what states of the earlier schemas decode into, as msgpack decodes structs:
// by field name, what is missing being zero. Of all schemas in use at a time
// Old has the fields; from says which one it is. Fields that Old does not have
// are lost. Old and New are checked as states are, by node.Start; where Migrate
// calls what MigrateFrom has made, as that is called.
//
//	Migrate: sessionproc.MigrateFrom(func(from int, old cartV1) (*Cart, error) {
//		return &Cart{Items: map[string]int{old.Item: 1}}, nil
//	}),
//
//go:noinline
func MigrateFrom[Old, New any](
	migrate func(from int, old Old) (*New, error),
) func(from int, state []byte) ([]byte, error) {
	fault := sync.OnceValue(func() error {
		return errors.Join(core.InContext("Old of its MigrateFrom", checkStored(reflect.TypeFor[Old]())),
			core.InContext("New of its MigrateFrom", checkStored(reflect.TypeFor[New]())))
	})
	return func(from int, state []byte) ([]byte, error) {
		if err := fault(); err != nil || from == onlyCheck {
			return nil, err
		}
		var old Old
		decode := func() error { return core.DecodeValue(state, false, &old) }
		if own, ok := any(&old).(core.StateCoder); ok {
			decode = func() error { return own.UnmarshalState(state) }
		}
		if err := decode(); err != nil {
			return nil, err
		}
		now, err := migrate(from, old)
		if err != nil {
			return nil, err
		}
		b, err := core.EncodeState(now, nil, core.MaxSnapshot)
		if err == core.ErrEnough {
			err = core.ErrSnapshot
		}
		return b, err
	}
}

// onlyCheck is no schema: what MigrateFrom has made says what is wrong with its types.
const onlyCheck = math.MinInt

// checkMigrate says what is wrong with the types of a Migrate that MigrateFrom has made.
// Nothing is known of others. Those are told by their names, which they have as
// MigrateFrom is not inlined.
func checkMigrate(cfg *core.KindSettings) error {
	if cfg.Migrate == nil {
		return nil
	}
	if cfg.Schema == 0 {
		return errors.New("KindConfig.Migrate is set and Schema is 0, so that nothing calls it: raise Schema")
	}
	f := runtime.FuncForPC(reflect.ValueOf(cfg.Migrate).Pointer())
	if f == nil || !strings.HasPrefix(f.Name(), reflect.TypeFor[KindConfig]().PkgPath()+".MigrateFrom[") {
		return nil
	}
	_, err := cfg.Migrate(onlyCheck, nil)
	return err
}

// checkStored refuses a type of states that would not be read or written as they are.
func checkStored(t reflect.Type) error {
	if core.CodesState(t) {
		return core.CheckState(t)
	}
	return errors.Join(core.CheckState(t), core.CheckType(t))
}
