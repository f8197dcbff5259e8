package engine_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// skipUnderRace skips a test that computes in one goroutine after the other. .ci/run has it without the detector, on
// 386.
func skipUnderRace(t *testing.T) {
	if raceEnabled {
		t.Skip("it has nothing for the race detector, which is slow")
	}
}

var (
	scripted = sessionproc.KindOf[string]("scripted")
	do       = sessionproc.MethodOf[string, string](scripted, "do")
	note     = sessionproc.NoticeOf[string](scripted, "note")
)

// script is the code of a kind "scripted"; what is nil does nothing. do answers
// its request.
type script struct {
	start  func(ctx context.Context, arg string) error
	do     func(ctx context.Context, r string) (string, error)
	note   func(ctx context.Context, m string) error
	end    func(ctx context.Context, reason sessionproc.Reason)
	kind   sessionproc.KindConfig
	method sessionproc.MethodConfig // of do
	notice sessionproc.MethodConfig // of note
}

type scriptedState struct{ script script }

func (s *scriptedState) MarshalState() ([]byte, error) { return nil, nil }
func (s *scriptedState) UnmarshalState([]byte) error   { return nil }

func (s script) make() sessionproc.AnyKind {
	k := sessionproc.NewKind(scripted, func(ctx context.Context, arg string) (*scriptedState, error) {
		if s.start != nil {
			if err := s.start(ctx, arg); err != nil {
				return nil, err
			}
		}
		return &scriptedState{s}, nil
	}, s.kind)
	sessionproc.HandleCall(k, do, func(_ *scriptedState, ctx context.Context, r string) (string, error) {
		if s.do == nil {
			return r, nil
		}
		return s.do(ctx, r)
	}, s.method)
	sessionproc.HandleCast(k, note, func(_ *scriptedState, ctx context.Context, m string) error {
		if s.note == nil {
			return nil
		}
		return s.note(ctx, m)
	}, s.notice)
	if s.end != nil {
		k.OnEnd(func(_ *scriptedState, ctx context.Context, reason sessionproc.Reason) { s.end(ctx, reason) })
	}
	return k
}

// newScripted is a table with one kind.
func newScripted(t testing.TB, s script) *local {
	return newLocal(t, s.make())
}

func (l *local) start(t testing.TB, ids ...string) {
	for _, id := range ids {
		require.NoError(t, scripted.Start(t.Context(), l, id, id))
	}
}

// bubble runs a test in fake time; it fails if a goroutine is left.
func bubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

// doing has do called in the background; the result comes on the channel.
func doing(ctx context.Context, l *local, id, r string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := do.Call(ctx, l, id, r)
		done <- err
	}()
	return done
}

func starting(ctx context.Context, l *local, id string) <-chan error {
	done := make(chan error, 1)
	go func() { done <- scripted.Start(ctx, l, id, id) }()
	return done
}
