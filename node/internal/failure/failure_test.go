package failure

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
)

// overWire takes an error the way of the wire.
func overWire(err error, maybe bool) Coded {
	f := Encode(err, maybe)
	return Decode(&transport.Error{Code: f.Code, Text: f.Text, Detail: f.Detail(nil)})
}

func TestSentinelsSurviveTheWire(t *testing.T) {
	for _, c := range codes {
		for _, err := range []error{c.err, fmt.Errorf("%w: with more", c.err)} {
			for _, maybe := range []bool{false, true} {
				f := overWire(err, maybe)
				require.Equal(t, maybe, f.Maybe)
				require.ErrorIs(t, f.Err(), c.err)
				if c.code != codeCrashed { // its text is made of the reference
					require.EqualError(t, f.Err(), err.Error())
				}
				for _, other := range codes {
					if other.err != c.err {
						require.NotErrorIs(t, f.Err(), other.err)
					}
				}
			}
		}
	}
}

// A change that may not survive a crash because there is no quorum is both to its caller.
func TestWhyAChangeMayNotSurviveACrashSurvivesTheWire(t *testing.T) {
	err := fmt.Errorf("%w: the change may not survive a crash: %w", sessionproc.ErrUnavailable, sessionproc.ErrNoQuorum)
	got := overWire(err, true).Err()
	require.ErrorIs(t, got, sessionproc.ErrUnavailable)
	require.ErrorIs(t, got, sessionproc.ErrNoQuorum)
	require.EqualError(t, got, err.Error())
}

func TestHandlerErrorsSurviveTheWire(t *testing.T) {
	soldOut := sessionproc.NewError("sold_out", "sold out")
	got := overWire(soldOut, true).Err()
	require.ErrorIs(t, got, soldOut)
	require.EqualError(t, got, "sold out")
	require.NotErrorIs(t, got, sessionproc.NewError("other", "sold out"))
	require.EqualError(t, overWire(errors.New("boom"), true).Err(), "boom")

	crash := overWire(&sessionproc.CrashError{Reference: "4711"}, true).Err()
	require.ErrorIs(t, crash, sessionproc.ErrCrashed)
	require.ErrorContains(t, crash, "4711")
}

func TestLimitErrorsSurviveTheWire(t *testing.T) {
	for limit, sentinel := range map[string]error{
		"Config.MaxSessions": sessionproc.ErrTooManySessions, "KindConfig.MaxSessions": sessionproc.ErrTooManySessions,
		"Config.StartRate": sessionproc.ErrRateLimited, "KindConfig.StartRate": sessionproc.ErrRateLimited,
		"KindConfig.MessageRate": sessionproc.ErrRateLimited, "KindConfig.RenewRate": sessionproc.ErrRateLimited,
		"Config.MemoryMark": sessionproc.ErrMemoryMark,
	} {
		sent := &sessionproc.LimitError{Limit: limit, Max: 1 << 40, RetryAfter: 1500 * time.Millisecond}
		got := overWire(fmt.Errorf("with more: %w", sent), false).Err()
		require.Equal(t, sent, got)
		require.ErrorIs(t, got, sentinel)
	}
	for _, extra := range []string{"", "a b c", "a 1", "a 1 x"} {
		require.Equal(t, sessionproc.ErrTooManySessions, Coded{Code: codeTooMany, Extra: extra}.Err())
	}
}

func TestCodesAreUniqueAndPinned(t *testing.T) {
	seen := map[uint32]error{}
	for _, c := range codes {
		require.Nil(t, seen[c.code], "code %d twice", c.code)
		require.GreaterOrEqual(t, c.code, uint32(16), "codes below 16 are the transport's")
		seen[c.code] = c.err
	}
	// A released code never changes its meaning.
	require.Equal(t, sessionproc.ErrNotFound, seen[16])
	require.Equal(t, sessionproc.ErrClosed, seen[31])
	require.Equal(t, context.Canceled, seen[35])
}

func TestForeignErrorDetailIsTolerated(t *testing.T) {
	for _, detail := range [][]byte{nil, {0xc1}, {0x92, 0xc3}, {0xdd, 0xff, 0xff, 0xff, 0xff}, []byte("junk")} {
		f := Decode(&transport.Error{Code: codeNotFound, Text: "session not found", Detail: detail})
		require.ErrorIs(t, f.Err(), sessionproc.ErrNotFound)
		require.True(t, f.Maybe, "what the owner's word does not exclude may have run")
	}
	require.Error(t, Decode(&transport.Error{Code: 9999, Text: "of a later release"}).Err())
}

// A limit that only a later release has is still of its class.
func TestLimitsOfLaterReleasesKeepTheirClass(t *testing.T) {
	f := overWire(&sessionproc.LimitError{Limit: "KindConfig.StartRate", Max: 3, RetryAfter: time.Second}, false)
	f.Text, f.Extra = "rate limited: KindConfig.Later is 3", "KindConfig.Later 3 1000000000"
	require.ErrorIs(t, f.Err(), sessionproc.ErrRateLimited)
	require.EqualError(t, f.Err(), f.Text)
}
