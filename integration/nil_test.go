package integration_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Whatever is asked of a nil *Node says that it is nil: by its error if it returns
// one, else by a panic with a sentence.
func TestMethodsOfANilNodeSayThatItIsNil(t *testing.T) {
	const want = "the *Node is nil"
	nobody := reflect.ValueOf((*node.Node)(nil))
	fail := reflect.TypeFor[error]()
	for i := range nobody.NumMethod() {
		method := nobody.Type().Method(i)
		t.Run(method.Name, func(t *testing.T) {
			args := []reflect.Value{}
			for j := range nobody.Method(i).Type().NumIn() {
				args = append(args, someArgument(nobody.Method(i).Type().In(j)))
			}
			said, returns := call(nobody.Method(i), args)
			require.Contains(t, said, want)
			for j := range nobody.Method(i).Type().NumOut() {
				if nobody.Method(i).Type().Out(j) == fail {
					require.True(t, returns, "it returns errors, and panics all the same")
				}
			}
		})
	}
	require.Greater(t, nobody.NumMethod(), 25)

	var n *node.Node
	ctx := t.Context()
	_, err := add.Call(ctx, n, "a", 1)
	require.ErrorContains(t, err, want)
	require.False(t, sessionproc.MaybeExecuted(err))
	require.ErrorContains(t, addOne.Cast(ctx, n, "a", sessionproc.None{}), want)
	require.ErrorContains(t, counters.Start(ctx, n, "a", 1), want)
	require.ErrorContains(t, counters.StartMany(ctx, n, map[string]int{"a": 1})["a"], want)
	require.ErrorContains(t, node.RunUntilSignal(ctx, n, node.Shutdown{}), want)
}

// someArgument is a value that says nothing, but for a ctx, an ID, a message and lists.
func someArgument(t reflect.Type) reflect.Value {
	switch t {
	case reflect.TypeFor[context.Context]():
		return reflect.ValueOf(context.Background())
	case reflect.TypeFor[string]():
		return reflect.ValueOf("a")
	case reflect.TypeFor[sessionproc.Message]():
		return reflect.ValueOf(engine.Untyped(engine.OpCast, "", "m", nil, nil))
	case reflect.TypeFor[[]string]():
		return reflect.ValueOf([]string{"a"})
	case reflect.TypeFor[map[string]node.StartOptions]():
		return reflect.ValueOf(map[string]node.StartOptions{"a": {}})
	case reflect.TypeFor[[]engine.Delivery]():
		return reflect.ValueOf([]engine.Delivery{{ID: "a", Message: engine.Untyped(engine.OpStart, "", "",
			nil, nil)}})
	}
	return reflect.Zero(t)
}

// call calls f and returns what it says: its error, that in a list or a map or of an
// element, or its panic. returns: it was no panic.
func call(f reflect.Value, args []reflect.Value) (said string, returns bool) {
	defer func() {
		if cause := recover(); cause != nil {
			said = fmt.Sprint(cause)
		}
	}()
	var results []reflect.Value
	if f.Type().IsVariadic() {
		results = f.CallSlice(args)
	} else {
		results = f.Call(args)
	}
	var errs []error
	for _, r := range append(results, args...) {
		switch v := r.Interface().(type) {
		case error:
			errs = append(errs, v)
		case map[string]error:
			errs = append(errs, v["a"])
		case []engine.Delivery:
			errs = append(errs, v[0].Err)
		default:
			if seq := reflect.TypeFor[func(func(node.SessionInfo, error) bool)](); r.Type().ConvertibleTo(seq) &&
				r.Kind() == reflect.Func {
				r.Convert(seq).Interface().(func(func(node.SessionInfo, error) bool))(func(_ node.SessionInfo, err error) bool {
					errs = append(errs, err)
					return true
				})
			}
		}
	}
	return fmt.Sprint(errors.Join(errs...)), true
}
