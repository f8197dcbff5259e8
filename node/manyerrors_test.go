package node

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/internal/failure"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
)

// An outcome that travels with others says what it would say alone.
func TestOutcomeAmongManyIsThatOfOne(t *testing.T) {
	full := sessionproc.NewError("full", "no room")
	for name, of := range map[string][]error{
		"a sentinel":                       {sessionproc.ErrAlreadyStarted},
		"an error of the program":          {full},
		"one that wraps a sentinel":        {full, sessionproc.ErrRateLimited},
		"one that wraps two":               {full, sessionproc.ErrUnavailable, context.DeadlineExceeded},
		"not found, and why":               {sessionproc.ErrNotFound, sessionproc.ErrTooManySessions},
		"an owner that has moved the rest": {&failure.Moved{Addr: "10.0.0.1:7000"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := of[0]
			for _, more := range of[1:] {
				err = fmt.Errorf("%w: %w", err, more)
			}
			for _, maybe := range []bool{false, true} {
				f := failure.Encode(err, maybe)
				alone := failure.Decode(&transport.Error{Code: f.Code, Text: f.Text, Detail: f.Detail(nil)})
				r := (&gathering{text: 1 << 10}).resultOf(err, maybe)
				require.Equal(t, alone, r.failure())
				if f.Code == failure.CodeNotOwner {
					continue
				}
				for _, sentinel := range of {
					require.ErrorIs(t, r.failure().Err(), sentinel)
				}
			}
		})
	}
	require.Zero(t, (&itemResult{}).failure().Code)
}
