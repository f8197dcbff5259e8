package node

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	stubborns = sessionproc.KindOf[sessionproc.None]("stubborn")
	persist   = sessionproc.MethodOf[sessionproc.None, sessionproc.None](stubborns, "persist")
)

// newStubborns makes a kind whose handler runs until its ctx ends.
func newStubborns() sessionproc.AnyKind {
	k := sessionproc.NewKind(stubborns, func(context.Context, sessionproc.None) (*struct{}, error) {
		return new(struct{}),
			nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, persist, func(_ *struct{}, ctx context.Context, _ sessionproc.None) (sessionproc.None,
		error) {
		<-ctx.Done()
		return sessionproc.None{}, nil
	})
	return k
}

// pair is two nodes, of which the second is about to take sessions from the first.
func pair(t *testing.T, sessions int) (a, b *Node) {
	cfg := Config{Slot: "a", Kinds: []sessionproc.AnyKind{newStubborns()}, Logger: slog.New(slog.DiscardHandler)}
	a, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	for range sessions {
		id := sessionproc.NewID()
		require.NoError(t, stubborns.Start(t.Context(), a, id, sessionproc.None{}))
		go func() { _, _ = persist.Call(context.Background(), a, id, sessionproc.None{}) }()
	}
	cfg.Slot, cfg.Kinds, cfg.Join = "b", []sessionproc.AnyKind{newStubborns()}, []string{a.Addr()}
	b, err = Start(t.Context(), cfg)
	require.NoError(t, err)
	return a, b
}

// A node that closes while sessions with running handlers are being sealed begins
// nothing after its end; the race detector sees it otherwise.
func TestCloseWhileSessionsAreSealedBeginsNothing(t *testing.T) {
	for range 3 {
		a, b := pair(t, 100)
		require.Eventually(t, func() bool { return a.driver.Stuck() > 0 }, 30*time.Second, 100*time.Microsecond)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	}
}

// The same for one that begins to drain and closes.
func TestDrainAndCloseAtOnceBeginNothing(t *testing.T) {
	for range 10 {
		a, b := pair(t, 0)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = a.Drain(context.Background())
		}()
		require.NoError(t, a.Close())
		<-done
		require.NoError(t, b.Close())
	}
}

// What a driver is to do once it has stopped it does not begin.
func TestStoppedDriverBeginsNothing(t *testing.T) {
	n := begin(t, Config{Logger: slog.New(slog.DiscardHandler)})
	ran := make(chan struct{}, 2)
	n.life.Go(func() { ran <- struct{}{} })
	<-ran
	require.NoError(t, n.Close())
	n.life.Go(func() { ran <- struct{}{} })
	n.life.Wait()
	require.Empty(t, ran)
}
