package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// arrived is a Result as it arrives at another node, or here.
func arrived[T any](t *testing.T, r Result[T]) (back Result[T]) {
	b, _, err := core.EncodeValue(nil, r)
	require.NoError(t, err)
	require.NoError(t, core.DecodeValue(b, false, &back))
	return back
}

func TestResultsArriveAsTheyWere(t *testing.T) {
	require.Equal(t, Result[string]{Value: "tea", Name: "pay"}, arrived(t, Result[string]{Value: "tea", Name: "pay"}))
	require.Equal(t, Result[[]byte]{Value: []byte("tea")}, arrived(t, Result[[]byte]{Value: []byte("tea")}))
	require.Equal(t, Result[None]{Name: "n"}, arrived(t, Result[None]{Name: "n"}))
	require.Equal(t, Result[*int]{}, arrived(t, Result[*int]{}))
	type paid struct {
		At    time.Time
		Parts map[string]int
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("there", 3600))
	require.Equal(t, paid{at.UTC(), map[string]int{"a": 1}}, arrived(t, Result[paid]{Value: paid{at, map[string]int{"a": 1}}}).Value)
}

func TestErrorsInResultsAreFound(t *testing.T) {
	declined := NewError("declined", "the card was declined")
	for _, c := range []struct {
		err  error
		is   []error
		text string
	}{
		{ErrTaskLost, []error{ErrTaskLost}, "task lost"},
		{declined, []error{declined}, "the card was declined"},
		{fmt.Errorf("at the bank: %w", declined), []error{declined}, "at the bank: the card was declined"},
		{errors.Join(declined, ErrNotFound), []error{declined, ErrNotFound}, "the card was declined\nsession not found"},
		{&OpError{Op: "call", ID: "ann", Err: context.DeadlineExceeded}, []error{context.DeadlineExceeded},
			"sessionproc: call on session " + LogID("ann") + ": context deadline exceeded"},
		{&CrashError{"1234"}, []error{ErrCrashed}, "session crashed (reference 1234)"},
		{&LimitError{Limit: core.LimitKindStarts, Max: 3}, []error{ErrRateLimited}, "rate limited: KindConfig.StartRate is 3"},
		{errors.New("alas"), nil, "alas"},
	} {
		t.Run(c.text, func(t *testing.T) {
			r := arrived(t, Result[int]{Err: c.err})
			for _, is := range c.is {
				require.ErrorIs(t, r.Err, is)
			}
			require.EqualError(t, r.Err, c.text)
			require.Equal(t, r, arrived(t, r), "it arrives again as it has arrived")
		})
	}
	var crash *CrashError
	require.ErrorAs(t, arrived(t, Result[int]{Err: &CrashError{"1234"}}).Err, &crash)
	require.Equal(t, "1234", crash.Reference)
}

func TestAResultOfWhatDoesNotTravelIsRefused(t *testing.T) {
	kind := KindOf[None]("k")
	done := NoticeOf[Result[chan int]](kind, "done")
	k := NewKind(kind, func(context.Context, None) (*struct{}, error) { return nil, nil }, KindConfig{})
	HandleCast(k, done, func(*struct{}, context.Context, Result[chan int]) error { return nil })
	require.ErrorContains(t, k.Core().Check(), "cast done: chan int is a chan")
}

// Whatever arrives where a Result is expected, it is one or an error.
func FuzzResult(f *testing.F) {
	for _, r := range []Result[map[string]int]{{Name: "pay", Value: map[string]int{"a": 1}}, {Err: ErrTaskLost},
		{Err: &CrashError{"1234"}}, {Err: NewError("code", "text")}} {
		b, _, err := core.EncodeValue(nil, r)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Result[map[string]int]
		if core.DecodeValue(b, false, &r) == nil && r.Err != nil {
			require.NotPanics(t, func() { _ = r.Err.Error(); errors.Is(r.Err, ErrTaskLost) })
		}
	})
}
