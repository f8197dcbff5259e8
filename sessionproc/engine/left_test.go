package engine_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A hoarder gives its ctx away. What happens to it by that is counted in its state.
var (
	hoarders = sessionproc.KindOf[sessionproc.None]("hoarder")
	keep     = sessionproc.MethodOf[time.Duration, sessionproc.None](hoarders, "keep")
	show     = sessionproc.MethodOf[sessionproc.None, hoarder](hoarders, "show")
	tick     = sessionproc.NoticeOf[string](hoarders, "tick")
	heardOf  = sessionproc.NoticeOf[sessionproc.Ended](hoarders, "heard of")
	told     = sessionproc.EventOf[int](hoarders, "told")
)

type hoarder struct{ Ticks, Heard int }

// keeping is a table of hoarders, and the ctx of the last one's handler.
type keeping struct {
	*local
	kept context.Context
	log  *journal
}

func (k *keeping) Feeds() core.Feeds { return k.table.Feeds() }

func newKeeping(t *testing.T) *keeping {
	s := &keeping{log: new(journal)}
	k := sessionproc.NewKind(hoarders, startsAs[hoarder], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, keep, func(_ *hoarder, ctx context.Context, d time.Duration) (sessionproc.None, error) {
		s.kept = ctx
		time.Sleep(d)
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCall(k, show, func(k *hoarder, _ context.Context, _ sessionproc.None) (hoarder, error) {
		return *k,
			nil
	})
	sessionproc.HandleCast(k, tick, func(k *hoarder, _ context.Context, _ string) error { k.Ticks++; return nil })
	sessionproc.HandleCast(k, heardOf, func(k *hoarder, _ context.Context,
		_ sessionproc.Ended) error {
		k.Heard++
		return nil
	})
	sessionproc.HandleEvent(k, told, func(*hoarder) int { return 0 })
	s.local = newLocalWith(t, func(c *engine.TableConfig) {
		c.Cluster, c.Moving = s, errAway
		c.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}, k)
	return s
}

// keptUses is all that a kept ctx can do to its session. It returns an error where
// the method does.
var keptUses = map[string]func(ctx context.Context) error{
	"After":      func(ctx context.Context) error { tick.After(ctx, time.Second, "x"); return nil },
	"Every":      func(ctx context.Context) error { tick.Every(ctx, time.Second, "x"); return nil },
	"AfterNamed": func(ctx context.Context) error { tick.AfterNamed(ctx, "after", time.Second, "x"); return nil },
	"EveryNamed": func(ctx context.Context) error { tick.EveryNamed(ctx, "every", time.Second, "x"); return nil },
	"AfterNamed, and cancelled": func(ctx context.Context) error {
		err := tick.AfterNamed(ctx, "x", time.Second, "x")
		sessionproc.FromContext(ctx).CancelTimer("x")
		return err
	},
	"CancelTimer": func(ctx context.Context) error {
		sessionproc.FromContext(ctx).CancelTimer("own")
		return nil
	},
	"Watch": func(ctx context.Context) error { sessionproc.Watch(ctx, "nobody", heardOf); return nil },
	"Watch, and cancelled": func(ctx context.Context) error {
		sessionproc.Watch(ctx, "nobody", heardOf)
		sessionproc.Unwatch(ctx, "nobody", heardOf)
		return nil
	},
	"Publish": func(ctx context.Context) error { return told.Publish(ctx, 1) },
	"SetLabel": func(ctx context.Context) error {
		return sessionproc.FromContext(ctx).SetLabel("user",
			"mallory")
	},
	"SetLabel, to none": func(ctx context.Context) error { return sessionproc.FromContext(ctx).SetLabel("own", "") },
	"Stop":              func(ctx context.Context) error { sessionproc.FromContext(ctx).Stop("by nobody"); return nil },
	"what it was": func(ctx context.Context) error {
		s := sessionproc.FromContext(ctx)
		_, _, _, _, _ = s.ID(), s.Kind(), s.Incarnation(), s.Labels(), s.Cluster()
		s.Logger().Info("left behind")
		<-ctx.Done()
		return nil
	},
}

// left is where a session is when a goroutine that its handler has left behind uses it.
// after brings it to where it is looked at, in a table of its own or the same.
type left struct {
	at    func(t *testing.T, l *keeping)
	after func(t *testing.T, l *keeping) (at *local, id string)
	stops bool // Stop has an effect
}

func sealIt(t *testing.T, l *keeping) (snapshot []byte) {
	b, err := take(t, l.local, "a")
	require.NoError(t, err)
	return b
}

func same(_ *testing.T, l *keeping) (*local, string) { return l.local, "a" }

// leftBehind are the phases in which the session is not this node's to change.
func leftBehind() map[string]left {
	var b []byte
	elsewhere := func(t *testing.T, _ *keeping) (*local, string) {
		to := newKeeping(t)
		require.NoError(t, land(to.local, "a", b))
		return to.local, "a"
	}
	return map[string]left{
		"sealed, and it comes back": {
			at: func(t *testing.T, l *keeping) { b = sealIt(t, l) },
			after: func(t *testing.T, l *keeping) (*local, string) {
				l.table.Resume(part("a"), "a")
				synctest.Wait()
				return l.local, "a"
			},
			stops: true,
		},
		"sealed, and it goes": {
			at: func(t *testing.T, l *keeping) { b = sealIt(t, l); l.table.Sent(part("a"), "a") },
			after: func(t *testing.T, l *keeping) (*local, string) {
				l.table.Forget(part("a"), "a", nil)()
				return elsewhere(t, l)
			},
		},
		"gone to another node": {
			at:    func(t *testing.T, l *keeping) { b = sealIt(t, l); l.table.Forget(part("a"), "a", nil)() },
			after: elsewhere,
		},
		"renewed": {
			at:    func(t *testing.T, l *keeping) { require.NoError(t, l.renew(t.Context(), "a", "b")) },
			after: func(_ *testing.T, l *keeping) (*local, string) { return l.local, "b" },
		},
		"renewed, and its mark is sealed": {
			at: func(t *testing.T, l *keeping) {
				require.NoError(t, l.renew(t.Context(), "a", "b"))
				sealIt(t, l)
			},
			after: func(_ *testing.T, l *keeping) (*local, string) {
				l.table.Resume(part("a"), "a")
				return l.local, "b"
			},
		},
		"renewed, and its mark has gone": {
			at: func(t *testing.T, l *keeping) {
				require.NoError(t, l.renew(t.Context(), "a", "b"))
				time.Sleep(61 * time.Second)
			},
			after: func(_ *testing.T, l *keeping) (*local, string) { return l.local, "b" },
		},
		"started anew": {
			at: func(t *testing.T, l *keeping) {
				require.NoError(t, l.terminate(t.Context(), "a"))
				l.begin(t)
			},
			after: same,
		},
	}
}

// begin starts the session, with a label and a timer of its own.
func (l *keeping) begin(t *testing.T) {
	t.Helper()
	before := l.kept
	require.NoError(t, hoarders.Start(t.Context(), l, "a", sessionproc.None{}))
	_, err := keep.Call(t.Context(), l, "a", 0)
	require.NoError(t, err)
	require.NoError(t, sessionproc.FromContext(l.kept).SetLabel("own", "x"))
	tick.AfterNamed(l.kept, "own", 100*time.Second, "x")
	if before != nil {
		l.kept = before
	}
}

// labelsIn are the labels of the only session of a table.
func labelsIn(t *testing.T, l *local) map[string]string {
	t.Helper()
	page, _, _ := l.table.Page(engine.Cursor{}, engine.Filter{}, 10, 1<<20)
	require.Len(t, page, 1)
	return page[0].Labels
}

// A goroutine that a handler has left behind, with its ctx, changes nothing of a
// session that has gone on elsewhere, under another ID or anew; nor does it break what
// is left of it here.
func TestLeftBehindCtxChangesNothing(t *testing.T) {
	shorttest.Skip(t)
	for phase := range leftBehind() {
		for use, do := range keptUses {
			t.Run(phase+", "+use, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					l, c := newKeeping(t), leftBehind()[phase]
					l.begin(t)
					c.at(t, l)
					entries := l.table.Entries()
					err := do(l.kept)
					if use == "Publish" || use == "SetLabel" || use == "SetLabel, to none" {
						require.ErrorIs(t, err, sessionproc.ErrNotFound)
					} else {
						require.NoError(t, err)
					}
					synctest.Wait()
					require.Equal(t, entries, l.table.Entries())
					switch use {
					case "After", "Every", "AfterNamed", "EveryNamed", "Watch":
						require.Contains(t, l.log.String(), "left behind")
					}
					at, id := c.after(t, l)
					if c.stops && use == "Stop" {
						synctest.Wait()
						require.False(t, at.started(t, id), "it has come back, and ends")
						return
					}
					require.Equal(t, map[string]string{"own": "x"}, labelsIn(t, at))
					time.Sleep(5 * time.Second)
					got, err := show.Call(t.Context(), at, id, sessionproc.None{})
					require.NoError(t, err)
					require.Equal(t, hoarder{}, got)
					if id == "b" && phase != "renewed, and its mark has gone" {
						_, err = show.Call(t.Context(), l, "a", sessionproc.None{})
						require.ErrorIs(t, err, sessionproc.ErrRenewed, "the mark stays")
					}
					time.Sleep(96 * time.Second)
					got, err = show.Call(t.Context(), at, id, sessionproc.None{})
					require.NoError(t, err)
					require.Equal(t, hoarder{Ticks: 1}, got, "its own timer")
					require.Equal(t, 1, at.table.Entries(), "the mark has gone")
					require.Zero(t, l.table.Supervision().Crashes)
				})
			})
		}
	}
}

// While the session is here, and be it that its last handler runs before it moves, all
// of it counts.
func TestKeptCtxWorksWhileTheSessionIsHere(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			l, to := newKeeping(t), newKeeping(t)
			l.begin(t)
			snapshot := make(chan []byte, 1)
			if sealed {
				go func() { _, _ = keep.Call(t.Context(), l, "a", time.Second) }()
				synctest.Wait()
				require.True(t, l.table.Seal(part("a"), "a", errAway, func() bool { return true },
					func(b []byte, _ error) { snapshot <- b }))
			}
			require.NoError(t, keptUses["After"](l.kept))
			require.NoError(t, keptUses["EveryNamed"](l.kept))
			require.NoError(t, keptUses["Watch"](l.kept))
			require.NoError(t, keptUses["Publish"](l.kept))
			require.NoError(t, keptUses["SetLabel"](l.kept))
			require.True(t, sessionproc.FromContext(l.kept).CancelTimer("own"))
			at := l.local
			if sealed {
				b := <-snapshot
				l.table.Forget(part("a"), "a", nil)()
				require.NoError(t, land(to.local, "a", b))
				at = to.local
			}
			time.Sleep(1500 * time.Millisecond)
			got, err := show.Call(t.Context(), at, "a", sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, 1, got.Heard)
			require.Greater(t, got.Ticks, 1)
			require.Equal(t, map[string]string{"own": "x", "user": "mallory"}, labelsIn(t, at))
			require.NoError(t, at.terminate(t.Context(), "a"))
		})
	}
}
