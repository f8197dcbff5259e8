package node_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A track is a path through requests and handlers, in a ctx: what a trace makes of it says which way it has taken.
type track struct{}

func trackOf(ctx context.Context) string {
	s, _ := ctx.Value(track{}).(string)
	return s
}

// trails are the tracks of handlers that have ended, as MessageEnded is given them.
type trails struct {
	mu    sync.Mutex
	ended []string
	done  []string // of requests
}

func (tr *trails) take() (ended, done []string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	ended, done = tr.ended, tr.done
	tr.ended, tr.done = nil, nil
	return ended, done
}

// follow has a node write what requests and handlers do into tracks, which travel.
func (tr *trails) follow(_ int, cfg *node.Config) {
	cfg.Inject = func(ctx context.Context) []byte { return []byte(trackOf(ctx)) }
	cfg.Extract = func(ctx context.Context, b []byte) context.Context {
		return context.WithValue(ctx, track{}, string(b))
	}
	cfg.Trace = &node.Trace{
		RequestBegun: func(ctx context.Context, r node.TraceRequest) context.Context {
			if trackOf(ctx) == "" {
				return nil
			}
			return context.WithValue(ctx, track{}, trackOf(ctx)+" >"+r.Op+" "+r.Method)
		},
		RequestEnded: func(ctx context.Context, _ node.TraceRequest) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			tr.done = append(tr.done, trackOf(ctx))
		},
		MessageBegun: func(ctx context.Context, m node.TraceMessage) context.Context {
			if sessionproc.FromContext(ctx).ID() == "" {
				panic("the ctx of a handler is not one of a session")
			}
			return context.WithValue(ctx, track{}, trackOf(ctx)+" |"+m.Op+" "+m.Method)
		},
		MessageEnded: func(ctx context.Context, _ node.TraceMessage) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			tr.ended = append(tr.ended, trackOf(ctx))
		},
	}
}

var (
	hikers   = sessionproc.KindOf[sessionproc.None]("hiker")
	hike     = sessionproc.MethodOf[time.Duration, string](hikers, "hike")
	rest     = sessionproc.NoticeOf[sessionproc.None](hikers, "rest")
	arrive   = sessionproc.NoticeOf[sessionproc.None](hikers, "arrive")
	bells    = sessionproc.NoticeOf[sessionproc.None](hikers, "bells")
	partedOf = sessionproc.NoticeOf[sessionproc.Ended](hikers, "parted")
	goWith   = sessionproc.MethodOf[string, sessionproc.None](hikers, "goWith")
	sends    = sessionproc.MethodOf[time.Duration, sessionproc.None](hikers, "sends")
	repeats  = sessionproc.MethodOf[time.Duration, sessionproc.None](hikers, "repeats")
	fetches  = sessionproc.TaskOf[time.Duration, string](hikers, "fetches")
	fetched  = sessionproc.NoticeOf[sessionproc.Result[string]](hikers, "fetched")
	walked   = sessionproc.MethodOf[sessionproc.None, []string](hikers, "walked")
)

// A hiker notes the tracks of what it does.
type hiker struct{ Notes []string }

func (h *hiker) note(ctx context.Context) { h.Notes = append(h.Notes, trackOf(ctx)) }

func newHikers() sessionproc.AnyKind { return newHikersWith(sessionproc.KindConfig{}) }

func newHikersWith(cfg sessionproc.KindConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(hikers, func(ctx context.Context, _ sessionproc.None) (*hiker, error) {
		h := new(hiker)
		h.note(ctx)
		return h, nil
	}, cfg)
	sessionproc.HandleCall(k, hike, func(h *hiker, ctx context.Context, d time.Duration) (string, error) {
		self := sessionproc.FromContext(ctx)
		if d > 0 {
			if err := rest.Cast(ctx, self.Cluster(), self.ID(), sessionproc.None{}); err != nil {
				return "", err
			}
			time.Sleep(d)
		}
		h.note(ctx)
		return trackOf(ctx), nil
	}, sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleCast(k, rest, func(h *hiker, ctx context.Context, _ sessionproc.None) error {
		h.note(ctx)
		bells.After(ctx, time.Minute, sessionproc.None{})
		return arrive.AfterNamed(ctx, "arrive", 5*time.Minute, sessionproc.None{})
	})
	for _, n := range []*sessionproc.Notice[sessionproc.None]{arrive, bells} {
		sessionproc.HandleCast(k, n, func(h *hiker, ctx context.Context, _ sessionproc.None) error {
			h.note(ctx)
			return nil
		})
	}
	sessionproc.HandleCast(k, partedOf, func(h *hiker, ctx context.Context, _ sessionproc.Ended) error {
		h.note(ctx)
		return nil
	})
	sessionproc.HandleCall(k, goWith, func(_ *hiker, ctx context.Context, id string) (sessionproc.None, error) {
		sessionproc.Watch(ctx, id, partedOf)
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCall(k, sends, func(_ *hiker, ctx context.Context, d time.Duration) (none sessionproc.None, err error) {
		self := sessionproc.FromContext(ctx)
		cluster, id := self.Cluster(), self.ID()
		return none, sessionproc.Go(ctx, "errand", func(ctx context.Context) (string, error) {
			time.Sleep(d)
			_, err := walked.Call(ctx, cluster, id, sessionproc.None{}) // no handler waits for it
			return trackOf(ctx), err
		}, fetched, sessionproc.TaskConfig{})
	})
	sessionproc.HandleCall(k, repeats, func(_ *hiker, ctx context.Context, d time.Duration) (none sessionproc.None, err error) {
		return none, sessionproc.GoWith(ctx, "again", d, fetches, fetched, sessionproc.TaskConfig{Retry: true})
	})
	sessionproc.HandleTask(k, fetches, func(ctx context.Context, d time.Duration) (string, error) {
		time.Sleep(d)
		return trackOf(ctx), nil
	})
	sessionproc.HandleCast(k, fetched, func(h *hiker, ctx context.Context, r sessionproc.Result[string]) error {
		h.note(ctx)
		h.Notes = append(h.Notes, r.Value)
		return r.Err
	})
	sessionproc.HandleCall(k, walked, func(h *hiker, _ context.Context, _ sessionproc.None) ([]string, error) {
		return h.Notes, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	return k
}

// What a trace and Inject add to a ctx goes along to start functions, handlers, the casts that these make, the
// timers that they set, and casts that wait while their session moves: here, there, and across a move.
func TestATraceFollowsWhatARequestCauses(t *testing.T) {
	shorttest.Skip(t)
	tr := new(trails)
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newHikers}, Tune: tr.follow}, func(p place) {
		ctx := context.WithValue(p.Context(), track{}, "root")
		p.c.Settle()
		tr.take()
		require.NoError(p, hikers.Start(ctx, p.via, p.id, sessionproc.None{}))
		start := "root >start  |start "
		synctest.Wait() // the answer does not wait for MessageEnded
		ended, done := tr.take()
		require.Equal(p, []string{start}, ended)
		require.Equal(p, []string{"root >start "}, done)

		called := make(chan string, 1)
		go func() {
			got, err := hike.Call(ctx, p.via, p.id, 2*time.Second)
			called <- got
			require.NoError(p.T, err)
		}()
		time.Sleep(time.Second)
		p.move() // when the handler has returned; the cast that it has made goes along, and waits no longer
		call := "root >call hike |call hike"
		require.Equal(p, call, <-called)
		time.Sleep(2 * time.Minute)
		cast := call + " >cast rest |cast rest"
		notes := func() []string {
			got, err := walked.Call(p.Context(), p.via, p.id, sessionproc.None{})
			require.NoError(p, err)
			return got
		}
		require.Equal(p, []string{start, call, cast, cast + " |cast bells"}, notes())
		time.Sleep(5 * time.Minute)
		require.Equal(p, []string{start, call, cast, cast + " |cast bells", cast + " |cast arrive"}, notes())
		ended, _ = tr.take()
		require.Subset(p, ended, []string{call, cast, cast + " |cast bells", cast + " |cast arrive"})
	})
}

// A handler's ctx has what came with its own message, whatever came with others; and one that came with nothing has
// nothing.
func TestCastsHaveTheirOwnTracks(t *testing.T) {
	tr := new(trails)
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newHikers}, Tune: tr.follow}, func(p place) {
		require.NoError(p, hikers.Start(p.Context(), p.via, p.id, sessionproc.None{}))
		for _, root := range []string{"a", "", "b"} {
			ctx := p.Context()
			if root != "" {
				ctx = context.WithValue(ctx, track{}, root)
			}
			require.NoError(p, arrive.Cast(ctx, p.via, p.id, sessionproc.None{}))
			_, err := arrive.Broadcast(ctx, p.via, sessionproc.None{})
			require.NoError(p, err)
			require.NoError(p, p.via.Cast(ctx, p.id, "arrive", nil))
		}
		p.move()
		got, err := walked.Call(p.Context(), p.via, p.id, sessionproc.None{})
		require.NoError(p, err)
		want := []string{" |start "}
		for _, root := range []string{"a >cast arrive", "a", "a >cast arrive", "", "", "", "b >cast arrive", "b",
			"b >cast arrive"} {
			want = append(want, root+" |cast arrive")
		}
		require.Equal(p, want, got)
	})
}

// A message that starts its session has its track go to the start function as well, and a watch to what is told of
// the end.
func TestTracksReachStartsOnCallWatchesAndTimers(t *testing.T) {
	shorttest.Skip(t)
	tr := new(trails)
	inEachPlace(t, nodetest.Config{Kinds: []nodetest.KindFunc{newHikers}, Tune: tr.follow}, func(p place) {
		ctx := context.WithValue(p.Context(), track{}, "root")
		call := "root >call hike"
		_, err := hike.Call(ctx, p.via, p.id, 0)
		require.NoError(p, err)
		got, err := walked.Call(p.Context(), p.via, p.id, sessionproc.None{})
		require.NoError(p, err)
		require.Equal(p, []string{call + " |start ", call + " |call hike"}, got)

		other := ownedBy(p.c, 0, "companion-")
		require.NoError(p, hikers.Start(p.Context(), p.via, other, sessionproc.None{}))
		_, err = goWith.Call(ctx, p.via, p.id, other)
		require.NoError(p, err)
		require.NoError(p, rest.Cast(ctx, p.via, p.id, sessionproc.None{}))
		p.move()
		require.NoError(p, p.via.Terminate(p.Context(), other))
		time.Sleep(5 * time.Second)
		got, err = walked.Call(p.Context(), p.via, p.id, sessionproc.None{})
		require.NoError(p, err)
		require.Equal(p, "root >call goWith |call goWith |cast parted", got[len(got)-1])
		time.Sleep(5 * time.Minute)
		got, err = walked.Call(p.Context(), p.via, p.id, sessionproc.None{})
		require.NoError(p, err)
		set := "root >cast rest |cast rest"
		require.Equal(p, []string{set + " |cast bells", set + " |cast arrive"}, got[len(got)-2:])
	})
}

// Each beginning has an end, whatever happens in between; and what is done to the ctx harms nobody.
func TestEachBeginningOfATraceHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type counts struct{ requests, messages, begun, ended int }
		var mu sync.Mutex
		var open counts
		count := func(f func(*counts)) {
			mu.Lock()
			defer mu.Unlock()
			f(&open)
		}
		c := tuned(t, 2, func(_ int, cfg *node.Config) {
			cfg.Trace = &node.Trace{
				RequestBegun: func(ctx context.Context, _ node.TraceRequest) context.Context {
					count(func(c *counts) { c.requests++; c.begun++ })
					return ctx
				},
				RequestEnded: func(context.Context, node.TraceRequest) { count(func(c *counts) { c.requests--; c.ended++ }) },
				MessageBegun: func(ctx context.Context, _ node.TraceMessage) context.Context {
					count(func(c *counts) { c.messages++; c.begun++ })
					return ctx
				},
				MessageEnded: func(context.Context, node.TraceMessage) { count(func(c *counts) { c.messages--; c.ended++ }) },
			}
		}, newRogues, newTraced)
		for i := range 2 {
			id := ownedBy(c, i, "a")
			for _, how := range []string{"", "panics", "exits"} {
				_, _ = rogues.Ensure(t.Context(), c.Node(0), id, missive{})
				_ = answers(t, "a call", rogueAsks(c.Node(0), id, "call", how))
			}
			require.NoError(t, traced.Start(t.Context(), c.Node(0), id+"t", 0))
			_, err := tracedWork.Call(lasting(t, time.Millisecond), c.Node(0), id+"t", time.Second)
			require.Error(t, err, "given up")
		}
		for range c.Node(0).List(t.Context(), node.ListOptions{}) {
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Zero(t, open.requests)
		require.Zero(t, open.messages)
		require.Greater(t, open.begun, 10)
	})
}

// A Trace of several calls all of them: first come, first entered, last left.
func TestJoinedTracesAreCalledInTurn(t *testing.T) {
	var said []string
	one := func(name string) *node.Trace {
		return &node.Trace{
			RequestBegun: func(ctx context.Context, _ node.TraceRequest) context.Context {
				said = append(said, name+" begun "+trackOf(ctx))
				if name == "c" {
					return nil
				}
				return context.WithValue(ctx, track{}, name)
			},
			RequestEnded: func(ctx context.Context, _ node.TraceRequest) { said = append(said, name+" ended "+trackOf(ctx)) },
			NodeChanged:  func(c node.TraceNodeChanged) { said = append(said, name+" "+c.Change) },
		}
	}
	require.Nil(t, node.JoinTraces())
	require.Nil(t, node.JoinTraces(nil, nil))
	joined := node.JoinTraces(nil, one("a"), one("b"), new(node.Trace), one("c"))
	ctx := joined.RequestBegun(t.Context(), node.TraceRequest{})
	joined.RequestEnded(ctx, node.TraceRequest{})
	joined.NodeChanged(node.TraceNodeChanged{Change: "ready"})
	require.Equal(t, []string{"a begun ", "b begun a", "c begun b", "c ended b", "b ended b", "a ended b", "a ready",
		"b ready", "c ready"}, said)
	require.Nil(t, joined.SessionStarted)
	only := one("a")
	require.Same(t, only, node.JoinTraces(nil, only))
}

// A trace hears of each record that standbys have, and of those that they cannot have.
func TestATraceHearsOfRecords(t *testing.T) {
	for nodes, fails := range map[int]bool{2: false, 1: true} {
		synctest.Test(t, func(t *testing.T) {
			b := new(book)
			c := tuned(t, nodes, func(_ int, cfg *node.Config) {
				cfg.Trace = &node.Trace{RecordKept: keep[node.TraceRecordKept](b)}
			}, sumKind(sessionproc.KindConfig{Replicas: 1, MinReplicas: 1}))
			c.Settle()
			time.Sleep(2 * time.Second)
			err := sums.Start(lasting(t, 5*time.Second), c.Node(0), "a", "")
			require.Equal(t, fails, err != nil, "%v", err)
			all := b.take()
			require.NotEmpty(t, all)
			for _, i := range all {
				r := i.(node.TraceRecordKept)
				require.Equal(t, "purse", r.Kind)
				require.Positive(t, r.Size)
				require.Equal(t, fails, r.Err != nil, "%v", r.Err)
			}
		})
	}
}

// A timer that goes on from a standby still belongs to what has set it.
func TestTracksOfTimersSurviveACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := new(trails)
		c := tuned(t, 2, tr.follow, func() sessionproc.AnyKind {
			return newHikersWith(sessionproc.KindConfig{Replicas: 1})
		})
		c.Settle()
		time.Sleep(2 * time.Second)
		id := ownedBy(c, 0, "h-")
		require.NoError(t, hikers.Start(t.Context(), c.Node(1), id, sessionproc.None{}))
		ctx := context.WithValue(t.Context(), track{}, "root")
		require.NoError(t, rest.Cast(ctx, c.Node(1), id, sessionproc.None{}))
		time.Sleep(time.Second)
		c.Crash(0)
		c.Settle()
		time.Sleep(10 * time.Minute)
		got, err := walked.Call(t.Context(), c.Node(1), id, sessionproc.None{})
		require.NoError(t, err)
		set := "root >cast rest |cast rest"
		require.Equal(t, []string{" |start ", set, set + " |cast bells", set + " |cast arrive"}, got)
	})
}
