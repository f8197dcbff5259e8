package engine

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestARecordHasNoMoreThan160Bytes(t *testing.T) {
	require.LessOrEqual(t, int(unsafe.Sizeof(process{})), 160)
}

// However long a weighing takes, it takes no more than its share.
func TestWeighingKeepsToItsShare(t *testing.T) {
	var s scales
	s.spent(1000, time.Millisecond)
	require.EqualValues(t, 1000+500*time.Millisecond, s.rest.Load())
	s.spent(2000, time.Millisecond)
	require.EqualValues(t, 1000+1000*time.Millisecond, s.rest.Load(), "two at the same time")
	s.spent(int64(time.Minute), time.Second)
	require.EqualValues(t, time.Minute+500*time.Second, s.rest.Load())
}

// heavy counts how often its state is encoded.
type heavy struct {
	text    string
	weighed int
	fails   bool
}

func (h *heavy) MarshalState() ([]byte, error) {
	if h.weighed++; h.fails {
		return nil, errors.New("no scales")
	}
	return []byte(h.text), nil
}

func (h *heavy) UnmarshalState(b []byte) error { h.text = string(b); return nil }

// Sessions are weighed once after they have changed, however many there are, and keep
// nothing of it.
func TestASessionIsWeighedOnceAfterItHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := sessionproc.KindOf[int]("heavy")
		grow := sessionproc.NoticeOf[int](ref, "grow")
		look := sessionproc.MethodOf[int, int](ref, "look")
		var all []*heavy
		k := sessionproc.NewKind(ref, func(_ context.Context, n int) (*heavy, error) {
			all = append(all, new(heavy))
			return all[n], nil
		}, sessionproc.KindConfig{WarnState: 10, IdleTimeout: time.Minute})
		sessionproc.HandleCast(k, grow, func(h *heavy, _ context.Context,
			n int) error {
			h.text = strings.Repeat("x", n)
			return nil
		},
			sessionproc.MethodConfig{NoTouch: true})
		sessionproc.HandleCall(k, look, func(_ *heavy, _ context.Context, n int) (int, error) { return n, nil },
			sessionproc.MethodConfig{ReadOnly: true})
		table, err := NewTable(TableConfig{Partitions: 7, Kinds: []sessionproc.AnyKind{k}, CallTimeout: time.Second,
			StopTimeout: time.Second,
			MaxStarting: 8, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		defer table.Close(t.Context())
		c := alone{table}
		const sessions = 300
		for i := range sessions {
			require.NoError(t, ref.Start(t.Context(), c, string(rune('A'+i%26))+strings.Repeat("i", i/26), i))
		}
		weighed := func() (n int) {
			synctest.Wait()
			for _, h := range all {
				n += h.weighed
			}
			return n
		}
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions, weighed(), "after their start")
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions, weighed(), "they have not changed")
		p := table.find(c.part("A"), "A")
		require.Nil(t, p.ext, "it keeps nothing of it")
		require.EqualValues(t, 1, p.handled, "it counts as no message but its start")

		_, err = look.Call(t.Context(), c, "A", 1)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions, weighed(), "it has been looked at")
		require.NoError(t, grow.Cast(t.Context(), c, "A", 9))
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions+1, weighed(), "it has changed")
		require.Zero(t, table.Supervision().Large)
		require.NoError(t, grow.Cast(t.Context(), c, "A", 11))
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 1, table.Supervision().Large)
		require.NoError(t, grow.Cast(t.Context(), c, "A", 12))
		time.Sleep(10 * time.Second)
		require.Equal(t, sessions+2, weighed(), "what is known to be large is not weighed")
		require.EqualValues(t, 1, table.Supervision().Large)
		time.Sleep(30 * time.Second)
		require.Zero(t, table.Len(), "nothing of it was use")
	})
}

// alone is a Caller of one table.
type alone struct{ t *Table }

func (c alone) part(id string) int { return len(id) % len(c.t.parts) }
func (c alone) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	return c.t.Deliver(ctx, c.part(id), id, m)
}
