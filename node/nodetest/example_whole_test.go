package nodetest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Rows    = sessionproc.KindOf[int]("row") // started with the number of its seats
	Reserve = sessionproc.MethodOf[string, int](Rows, "reserve")
	Free    = sessionproc.NoticeOf[int](Rows, "free")
	Left    = sessionproc.MethodOf[sessionproc.None, int](Rows, "left")
)

// ErrFull is the same error on every node.
var ErrFull = sessionproc.NewError("full", "no seat is left")

// held is how long a seat is reserved.
const held = 15 * time.Minute

// Row is the state: who has which seat.
type Row struct{ Seats []string }

func newRow(_ context.Context, seats int) (*Row, error) { return &Row{make([]string, seats)}, nil }

func (r *Row) reserve(ctx context.Context, name string) (int, error) {
	for i, taken := range r.Seats {
		if taken == "" {
			r.Seats[i] = name
			Free.After(ctx, held, i)
			return i, nil
		}
	}
	return 0, ErrFull
}

func (r *Row) free(_ context.Context, seat int) error {
	r.Seats[seat] = ""
	return nil
}

func (r *Row) left(context.Context, sessionproc.None) (n int, err error) {
	for _, taken := range r.Seats {
		if taken == "" {
			n++
		}
	}
	return n, nil
}

func newRows() *sessionproc.Kind[Row, int] {
	k := sessionproc.NewKind(Rows, newRow, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Reserve, (*Row).reserve)
	sessionproc.HandleCall(k, Left, (*Row).left, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCast(k, Free, (*Row).free)
	return k
}

// aReservationEnds is the test. In a file of your own it is TestAReservationEnds.
func aReservationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, nodetest.Kind(newRows))
		require.NoError(t, Rows.Start(t.Context(), c.Caller(), "row-7", 1))
		_, err := Reserve.Call(t.Context(), c.Caller(), "row-7", "ann")
		require.NoError(t, err)
		_, err = Reserve.Call(t.Context(), c.Caller(), "row-7", "bob")
		require.ErrorIs(t, err, ErrFull)

		c.Leave(c.Owner("row-7")) // the row moves, and its timer with it
		c.Settle()
		time.Sleep(held) // of virtual time
		left, err := Left.Call(t.Context(), c.Caller(), "row-7", sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, 1, left)
	})
}

// A whole file: a kind, and its test on three nodes in virtual time.
func Example() { aReservationEnds(testingT) }
