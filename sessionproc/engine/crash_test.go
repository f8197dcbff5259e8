package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

const panicText = "the secret of the panic"

func TestACrashAnswersItsCallerAndTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(journal)
		var told ends
		gate := make(chan struct{})
		var kept context.Context
		l := newLocalWith(t, log.into, script{end: told.note, do: func(ctx context.Context, _ string) (string, error) {
			kept = ctx
			<-gate
			panic(panicText)
		}}.make())
		id := sessionproc.NewID()
		l.start(t, id, "other")
		calls := []<-chan error{doing(t.Context(), l, id, "")}
		synctest.Wait()
		for range 3 {
			calls = append(calls, doing(t.Context(), l, id, ""))
			synctest.Wait()
		}
		require.NoError(t, note.Cast(t.Context(), l, id, ""))
		restart := make(chan error, 1)
		close(gate)
		var reference string
		for i, done := range calls {
			err := <-done
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
			crash, ok := errors.AsType[*sessionproc.CrashError](err)
			require.True(t, ok)
			require.Contains(t, err.Error(), crash.Reference)
			require.NotContains(t, err.Error(), panicText)
			require.Equal(t, i == 0, sessionproc.MaybeExecuted(err))
			if i == 0 {
				reference = crash.Reference
			}
			require.Equal(t, reference, crash.Reference)
		}
		require.Contains(t, log.String(), reference)
		require.Contains(t, log.String(), panicText)
		require.Contains(t, log.String(), "crash_test.go", "the stack")
		require.NotContains(t, log.String(), id, "IDs are bearer secrets")
		require.Contains(t, log.String(), sessionproc.LogID(id))
		require.ErrorIs(t, kept.Err(), context.Canceled)
		require.False(t, l.started(t, id))
		_, err := do.Call(t.Context(), l, id, "")
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		require.Empty(t, told.of(id), "its state is not to be trusted")
		go func() { restart <- scripted.Start(t.Context(), l, id, "") }()
		require.NoError(t, <-restart)
		require.True(t, l.started(t, "other"))
	})
}

// A hundred crashes, of calls and casts, and a thousand sessions that notice
// nothing.
func TestCrashesLeaveOtherSessionsAlone(t *testing.T) {
	l := newScripted(t, script{
		do: func(_ context.Context, r string) (string, error) {
			if r == "crash" {
				panic(panicText)
			}
			return r, nil
		},
		note: func(context.Context, string) error { panic(panicText) },
	})
	sound, frail := names("sound", 1000), names("frail", 100)
	l.start(t, sound...)
	l.start(t, frail...)
	var wg sync.WaitGroup
	for i, id := range frail {
		wg.Go(func() {
			if i%2 == 0 {
				assert.NoError(t, note.Cast(t.Context(), l, id, ""))
				return
			}
			_, err := do.Call(t.Context(), l, id, "crash")
			assert.ErrorIs(t, err, sessionproc.ErrCrashed)
		})
	}
	for g := range 4 {
		wg.Go(func() {
			for i := g; i < len(sound); i += 4 {
				got, err := do.Call(t.Context(), l, sound[i], sound[i])
				assert.NoError(t, err)
				assert.Equal(t, sound[i], got)
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return l.table.Len() == 1000 }, 30*time.Second, time.Millisecond)
	require.Equal(t, 1000, l.table.Live("scripted"))
	for _, id := range frail {
		require.False(t, l.started(t, id))
	}
}

// Whatever user code does in the session's goroutine, and whatever it panics
// with, is contained.
func TestAllPanicsAreContained(t *testing.T) {
	var nilMap map[string]int
	for name, cause := range map[string]func(){
		"nil":     func() { panic(nil) },
		"error":   func() { panic(sessionproc.ErrNotFound) },
		"runtime": func() { nilMap["x"] = 1 },
		"printer": func() { panic(explosive{}) },
		"deep":    func() { panic(fmt.Sprint(deep(100))) },
	} {
		l := newLocalWith(t, new(journal).into, script{do: func(context.Context, string) (string,
			error) {
			cause()
			return "", nil
		}}.make())
		l.start(t, "a")
		_, err := do.Call(t.Context(), l, "a", "")
		require.ErrorIs(t, err, sessionproc.ErrCrashed, name)
		require.NotErrorIs(t, err, sessionproc.ErrNotFound, name)
	}
}

// explosive panics again when it is printed.
type explosive struct{}

func (explosive) Error() string { panic("again") }

// A Clone of the reply and an error's text are user code too.
func TestPanicsBesideTheHandlerAreContained(t *testing.T) {
	ref := sessionproc.KindOf[int]("beside")
	reply := sessionproc.MethodOf[int, bomb](ref, "reply")
	fail := sessionproc.MethodOf[int, int](ref, "fail")
	k := sessionproc.NewKind(ref, startsAs[counter], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, reply, func(*counter, context.Context, int) (bomb, error) { return bomb{[]int{1}}, nil })
	sessionproc.HandleCall(k, fail, func(*counter, context.Context, int) (int, error) { return 0, explosive{} })
	l := newLocal(t, k)
	require.NoError(t, ref.Start(t.Context(), l, "a", 0))
	_, err := reply.Call(t.Context(), l, "a", 1)
	require.ErrorIs(t, err, sessionproc.ErrCrashed)
	require.NoError(t, ref.Start(t.Context(), l, "a", 0))
	_, err = fail.Call(t.Context(), l, "a", 1)
	require.ErrorIs(t, err, sessionproc.ErrCrashed)
	require.False(t, l.started(t, "a"))
}

type bomb struct{ List []int }

func (bomb) Clone() bomb { panic("cloned") }

type fuse struct{ List []int }

func (fuse) EncodeMsgpack(*msgpack.Encoder) error  { panic("encoded") }
func (*fuse) DecodeMsgpack(*msgpack.Decoder) error { return nil }

// encoding is a Caller that comes as far as the encoding of a request.
type encoding struct{}

func (encoding) Deliver(_ context.Context, _ string, m sessionproc.Message) error {
	_, _, err := m.AppendPayload(nil, 0)
	return err
}

// What is wrong with a request is its caller's business: an error, that says where it
// was, and no panic.
func TestPanicsOfRequestsAreErrorsOfTheirCallers(t *testing.T) {
	ref := sessionproc.KindOf[fuse]("careless")
	send := sessionproc.MethodOf[bomb, int](ref, "send")
	tell := sessionproc.NoticeOf[fuse](ref, "tell")
	k := sessionproc.NewKind(ref, startsAs[counter], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, send, func(*counter, context.Context, bomb) (int, error) { return 0, nil })
	sessionproc.HandleCast(k, tell, func(*counter, context.Context, fuse) error { return nil })
	l := newLocal(t, k)
	require.NoError(t, l.Deliver(t.Context(), "a", engine.Untyped(core.OpStart, "careless", "", nil, nil)))
	untyped := engine.Untyped(core.OpCast, "", "tell", fuse{[]int{1}}, nil)
	for _, c := range []sessionproc.Caller{l, encoding{}} {
		errs := map[string]error{
			"fuse.EncodeMsgpack":  ref.Start(t.Context(), c, "b", fuse{[]int{1}}),
			"fuse.EncodeMsgpack ": tell.Cast(t.Context(), c, "a", fuse{[]int{1}}),
			" fuse.EncodeMsgpack": c.Deliver(t.Context(), "a", untyped),
		}
		if c == l {
			_, errs["bomb.Clone"] = send.Call(t.Context(), c, "a", bomb{[]int{1}})
		}
		for where, err := range errs {
			require.ErrorIs(t, err, sessionproc.ErrBadRequest)
			require.ErrorContains(t, err, strings.TrimSpace(where)+" (crash_test.go:")
			require.NotContains(t, err.Error(), "encoded", "it may be a secret")
		}
	}
	require.True(t, l.started(t, "a"))
	require.False(t, l.started(t, "b"))
}

func TestHandlerErrorsReachTheCaller(t *testing.T) {
	l := newScripted(t, script{do: func(_ context.Context, r string) (string, error) {
		switch r {
		case "code":
			return "", errNoStock
		case "wrapped":
			return "", fmt.Errorf("tea: %w", errNoStock)
		case "own":
			return "", sessionproc.ErrNotFound
		}
		return "", errors.New("plain")
	}, note: func(context.Context, string) error { return errNoStock }})
	l.start(t, "a")
	_, err := do.Call(t.Context(), l, "a", "code")
	require.ErrorIs(t, err, errNoStock)
	require.True(t, sessionproc.MaybeExecuted(err))
	_, err = do.Call(t.Context(), l, "a", "wrapped")
	require.ErrorIs(t, err, errNoStock)
	require.ErrorContains(t, err, "tea: no stock")
	_, err = do.Call(t.Context(), l, "a", "own")
	require.NotErrorIs(t, err, sessionproc.ErrNotFound, "it would speak of this session")
	require.ErrorContains(t, err, "session not found")
	_, err = do.Call(t.Context(), l, "a", "else")
	require.ErrorContains(t, err, "plain")
	require.NoError(t, note.Cast(t.Context(), l, "a", ""))
	require.True(t, l.started(t, "a"))
	require.False(t, sessionproc.MaybeExecuted(nil))
	require.True(t, sessionproc.MaybeExecuted(errors.New("foreign")))
}
