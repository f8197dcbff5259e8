package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

var errSoldOut = sessionproc.NewError("sold_out", "none is left")

// bareError has methods that do not take nil.
type bareError struct{ text string }

func (e *bareError) Error() string { return e.text }

// kindError takes nil.
type kindError struct{ text string }

func (e *kindError) Error() string {
	if e == nil {
		return "nothing is wrong"
	}
	return e.text
}

// mineError panics in the method that is named.
type mineError struct{ in string }

func (e mineError) Error() string { return e.maybe("Error", "mine") }
func (e mineError) Is(error) bool { return e.maybe("Is", "") != "" }
func (e mineError) As(any) bool   { return e.maybe("As", "") != "" }
func (e mineError) Unwrap() error { e.maybe("Unwrap", ""); return nil }
func (e mineError) maybe(m, s string) string {
	if e.in == m {
		panic("mine")
	}
	return s
}

// liar says that it is a nil *sessionproc.Error.
type liar struct{}

func (liar) Error() string { return "a lie" }
func (liar) As(target any) bool {
	e, ok := target.(**sessionproc.Error)
	if ok {
		*e = nil
	}
	return ok
}

// Whatever a handler or a start function returns as its error, and whatever the methods
// of that do, each message gets one answer at once: the same here and for another node.
func TestEveryErrorOfAHandlerIsAnsweredOnce(t *testing.T) {
	for name, err := range map[string]error{
		"a nil *Error":                 (*sessionproc.Error)(nil),
		"a nil pointer":                (*bareError)(nil),
		"a nil pointer that is fine":   (*kindError)(nil),
		"a nil *OpError":               (*sessionproc.OpError)(nil),
		"a nil *LimitError":            (*sessionproc.LimitError)(nil),
		"a nil *CrashError":            (*sessionproc.CrashError)(nil),
		"an As that finds nil":         liar{},
		"an error of the library":      sessionproc.ErrNotFound,
		"an OpError":                   &sessionproc.OpError{Op: "call", ID: "b", Err: sessionproc.ErrTerminated},
		"an empty OpError":             &sessionproc.OpError{},
		"a NewError":                   errSoldOut,
		"a panic in Error":             mineError{"Error"},
		"a panic in Is":                mineError{"Is"},
		"a panic in As":                mineError{"As"},
		"a panic in Unwrap":            mineError{"Unwrap"},
		"another node's missing frame": errors.New(strings.Repeat("long ", 1<<20)),
	} {
		for wrapping, err := range map[string]error{"": err, ", wrapped": fmt.Errorf("it failed: %w", err),
			", joined": errors.Join(errors.New("one"), err)} {
			t.Run(name+wrapping, func(t *testing.T) { bubble(t, func(t *testing.T) { returnError(t, err) }) })
		}
	}
}

func returnError(t *testing.T, err error) {
	fails := script{
		do: func(ctx context.Context, r string) (string, error) {
			if r == "live" {
				return r, nil
			}
			return "", err
		},
		note: func(context.Context, string) error { return err },
		start: func(_ context.Context, arg string) error {
			if arg == "fail" {
				return err
			}
			return nil
		},
	}
	l, log := newLogged(t, fails.make())
	begun := time.Now()
	ask := func(op core.Op, id, method, arg string) answer {
		in := &engine.Inbound{Op: op, ID: id, Kind: "scripted", Method: method, Payload: encoded(t, arg),
			Deadline: time.Now().Add(time.Minute)}
		a := serving(l, in)
		synctest.Wait()
		require.Len(t, a, 1, "one answer, at once")
		return <-a
	}
	l.start(t, "here")
	l.start(t, "there")
	_, here := do.Call(t.Context(), l, "here", "fail")
	require.Error(t, here)
	there := ask(core.OpCall, "there", "do", "fail")
	require.Error(t, there.err)
	sameError(t, here, there.err)

	here = scripted.Start(t.Context(), l, "new", "fail")
	require.Error(t, here)
	there = ask(core.OpStart, "new", "", "fail")
	sameError(t, here, there.err)
	require.False(t, l.started(t, "new"))

	l.start(t, "cast")
	require.NoError(t, note.Cast(t.Context(), l, "cast", "x"))
	synctest.Wait()
	require.Contains(t, log.String(), "cast", "the failure of a cast is in the log")
	require.Zero(t, time.Since(begun))
	if !errors.Is(here, sessionproc.ErrCrashed) {
		for _, id := range []string{"here", "there"} {
			require.True(t, l.started(t, id), "an error ends no session")
		}
	}
}

// sameError compares what a caller gets on the session's node and on another one.
func sameError(t *testing.T, here, there error) {
	op, ok := errors.AsType[*sessionproc.OpError](here)
	require.True(t, ok)
	if errors.Is(here, sessionproc.ErrCrashed) {
		require.ErrorIs(t, there, sessionproc.ErrCrashed)
		return
	}
	require.NotNil(t, op.Err)
	require.Equal(t, op.Err.Error(), there.Error())
	require.Equal(t, errors.Is(here, errSoldOut), errors.Is(there, errSoldOut))
	for _, ours := range []error{sessionproc.ErrNotFound, sessionproc.ErrTerminated} {
		require.NotErrorIs(t, op.Err, ours, "the text of an error of another session only")
		require.NotErrorIs(t, there, ours)
	}
}

func TestANilPointerAsErrorIsNamed(t *testing.T) {
	l := newLocal(t, script{do: func(context.Context, string) (string, error) { return "", (*bareError)(nil) }}.make())
	l.start(t, "a")
	_, err := do.Call(t.Context(), l, "a", "")
	require.ErrorContains(t, err, "the error is a nil *engine_test.bareError, not nil")
	require.True(t, l.started(t, "a"))
}

// brittle is a state whose coding fails with an error whose methods panic.
type brittle struct{ err error }

func (b *brittle) MarshalState() ([]byte, error) { return nil, b.err }
func (b *brittle) UnmarshalState([]byte) error   { return mineError{"Is"} }

// What fails beside a session's handlers fails in goroutines of the library, where no
// method of a user's error may run.
func TestErrorOfACodingMethodBecomesTextAtOnce(t *testing.T) {
	ref := sessionproc.KindOf[sessionproc.None]("brittle")
	for _, method := range []string{"Error", "Is", "As", "Unwrap"} {
		kind := sessionproc.NewKind(ref, func(context.Context, sessionproc.None) (*brittle, error) {
			return &brittle{mineError{method}}, nil
		}, sessionproc.KindConfig{Schema: 1, Migrate: func(int, []byte) ([]byte, error) { return nil, mineError{method} }})
		l := newLocal(t, kind)
		require.NoError(t, ref.Start(t.Context(), l, "a", sessionproc.None{}))
		_, err := take(t, l, "a")
		require.Error(t, err)
		require.NotPanics(t, func() { require.NotErrorIs(t, err, sessionproc.ErrNotFound) }, method)
	}
	values := newLocal(t, newPages(sessionproc.KindConfig{}))
	require.NoError(t, pages.Start(t.Context(), values, "a", nil))
	b, err := take(t, values, "a")
	require.NoError(t, err)
	for _, method := range []string{"Error", "Is", "As", "Unwrap"} {
		for _, migrate := range []func(int, []byte) ([]byte, error){nil, func(int, []byte) ([]byte, error) {
			return nil,
				mineError{method}
		}} {
			target := newLocal(t, sessionproc.NewKind(sessionproc.KindOf[sessionproc.None](pages.Name()),
				startsAs[brittle, sessionproc.None], sessionproc.KindConfig{Schema: 1, Migrate: migrate}))
			_, err := target.table.Restore(part("a"), "a", b)
			require.Error(t, err)
			require.NotPanics(t, func() { require.NotErrorIs(t, err, sessionproc.ErrNotFound) }, method)
		}
	}
}
