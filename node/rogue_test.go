package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var errExited = errors.New("the caller's own goroutine has ended")

// answers runs f and wants it to come to an end soon: its error, or errExited.
func answers(t *testing.T, what string, f func(ctx context.Context) error) error {
	t.Helper()
	ctx := lasting(t, 10*time.Second)
	begun, done := time.Now(), make(chan error, 1)
	go func() {
		err := errExited
		defer func() { done <- err }()
		err = f(ctx)
	}()
	err := <-done
	require.Less(t, time.Since(begun), 2*time.Second, "%s is not answered in time: %v", what, err)
	return err
}

// outcomeOf is what of an error is to be the same here and on another node.
func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	is := ""
	for _, target := range []error{sessionproc.ErrNotFound, sessionproc.ErrCrashed, sessionproc.ErrBadRequest,
		sessionproc.ErrBadReply,
		errRogue, context.DeadlineExceeded, errExited} {
		if errors.Is(err, target) {
			is += target.Error() + ": "
		}
	}
	if op, ok := errors.AsType[*sessionproc.OpError](err); ok && !errors.Is(err, sessionproc.ErrCrashed) {
		is += referenced.ReplaceAllString(op.Err.Error(), "")
	}
	return is + fmt.Sprint(sessionproc.MaybeExecuted(err))
}

// referenced are the references of the log, which no two faults have in common, and the
// node that a renewed session was to go on at, which is any.
var referenced = regexp.MustCompile("reference [0-9a-f]+|session [^ ]+:|node n[01]")

// ways are all ways to a rogue's code: what is done at a node to session id, which runs
// but where it is to be started.
var ways = map[string]func(ctx context.Context, n *node.Node, id, what string) error{
	"call":   rogueCalls("call"),
	"reply":  rogueCalls("reply"),
	"encode": rogueCalls("encode"),
	"decode": rogueCalls("decode"),
	"reply is decoded": func(ctx context.Context, n *node.Node, id, what string) error {
		err := rogueCalls("reply is decoded")(ctx, n, id, what)
		if err == nil {
			return errors.New("it decoded")
		}
		return err
	},
	"publish": rogueCalls("publish"),
	"timer":   rogueCalls("timer"),
	"start": func(ctx context.Context, n *node.Node, id, what string) error {
		return rogues.Start(ctx, n, "s"+id, missive{act{"start", what}})
	},
	"ensure": func(ctx context.Context, n *node.Node, id, what string) error {
		_, err := rogues.Ensure(ctx, n, "e"+id, missive{act{"start", what}})
		return err
	},
	"cast": func(ctx context.Context, n *node.Node, id, what string) error {
		return rogueCast.Cast(ctx, n, id, missive{act{"cast", what}})
	},
	"present": func(ctx context.Context, n *node.Node, id, what string) error {
		if err := rogueCalls("present")(ctx, n, id, what); err != nil {
			return err
		}
		sub, err := rogueNews.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
		if err == nil {
			sub.Close()
		}
		return err
	},
	"terminate": func(ctx context.Context, n *node.Node, id, what string) error {
		if err := rogueCalls("terminate")(ctx, n, id, what); err != nil {
			return err
		}
		return n.Terminate(ctx, id)
	},
	"last, call":       rogueRestarts("call"),
	"last, marshal":    rogueRestarts("marshal"),
	"last, unmarshal":  rogueRestarts("unmarshal"),
	"last, terminate":  rogueRestarts("terminate"),
	"renew, marshal":   rogueRenews("marshal"),
	"renew, unmarshal": rogueRenews("unmarshal"),
}

func rogueCalls(where string) func(context.Context, *node.Node, string, string) error {
	return func(ctx context.Context, n *node.Node, id, what string) error {
		_, err := rogueCall.Call(ctx, n, id, missive{act{where, what}})
		return err
	}
}

func rogueRenews(where string) func(context.Context, *node.Node, string, string) error {
	return func(ctx context.Context, n *node.Node, id, what string) error {
		if err := rogueCalls(where)(ctx, n, id, what); err != nil {
			return err
		}
		_, err := n.Renew(ctx, id)
		return err
	}
}

// rogueRestarts has a session that goes on after crashes do something in its code, crash,
// be asked, and end. It returns all that came of it.
func rogueRestarts(where string) func(context.Context, *node.Node, string, string) error {
	return func(ctx context.Context, n *node.Node, id, what string) error {
		id = "l" + id
		err := toughs.Start(ctx, n, id, missive{})
		for _, m := range []missive{{act{where, what}}, {}, {act{"call", "panics"}}, {}, {}} {
			if _, told := lastCall.Call(ctx, n, id, m); told != nil {
				err = fmt.Errorf("%w, %s", told, outcomeOf(err))
			}
		}
		if told := n.Terminate(ctx, id); told != nil {
			err = fmt.Errorf("%w, %s", told, outcomeOf(err))
		}
		return err
	}
}

// rogueAt returns an ID that node i owns, with each of the letters before it that the ways
// of the test put there, and without.
func rogueAt(c *nodetest.Cluster, i int, beginning string) string {
next:
	for k := 0; ; k++ {
		id := fmt.Sprint(beginning, k)
		for _, prefix := range []string{"", "s", "e", "l"} {
			if c.Owner(prefix+id) != i {
				continue next
			}
		}
		return id
	}
}

// Whatever a program's own code does that is no answer, in whatever place: who waits is
// answered once, at once and the same on the session's node and on another one, and all
// other sessions go on.
func TestCallersOfMisbehavingCodeAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tuned(t, 2, silent, newRogues, newToughRogues)
		here, there := c.Node(0), c.Node(1)
		bystander := ownedBy(c, 0, "bystander")
		require.NoError(t, rogues.Start(t.Context(), here, bystander, missive{}))
		for i, what := range acts {
			for way, do := range ways {
				one := rogueAt(c, 0, fmt.Sprint("a", i, way[:2], "-"))
				other := rogueAt(c, 0, fmt.Sprint("b", i, way[:2], "-"))
				require.NoError(t, rogues.Start(t.Context(), here, one, missive{}))
				require.NoError(t, rogues.Start(t.Context(), here, other, missive{}))
				name := way + " that " + what
				local := answers(t, name+", here", func(ctx context.Context) error { return do(ctx, here, one, what) })
				remote := answers(t, name+", remote", func(ctx context.Context) error { return do(ctx, there, other, what) })
				require.Equal(t, outcomeOf(local), outcomeOf(remote), name)
				for _, id := range []string{one, other} {
					_ = answers(t, "the end after "+name, func(ctx context.Context) error { return here.Terminate(ctx, id) })
				}
			}
			begin := fmt.Sprintf("begin-%d-", i)
			local := answers(t, "a start on call that "+what, func(ctx context.Context) error {
				_, err := rogueBegin.Call(ctx, here, ownedBy(c, 0, begin), sessionproc.None{})
				return err
			})
			remote := answers(t, "a start on call that "+what+", remote", func(ctx context.Context) error {
				_, err := rogueBegin.Call(ctx, there, ownedBy(c, 0, begin), sessionproc.None{})
				return err
			})
			require.Error(t, local)
			require.Equal(t, outcomeOf(local), outcomeOf(remote), what)
			require.NoError(t, answers(t, "a bystander", func(ctx context.Context) error {
				_, err := rogueCall.Call(ctx, there, bystander, missive{})
				return err
			}), what)
		}
	})
}

// A drain ends in time, and the neighbours of what cannot move go at once.
func TestDrainGoesOnBesideMisbehavingStates(t *testing.T) {
	shorttest.Skip(t)
	for _, where := range []string{"marshal", "unmarshal"} {
		for _, what := range acts {
			synctest.Test(t, func(t *testing.T) {
				c := tuned(t, 2, silent, newRogues)
				bad := ownedBy(c, 0, "bad")
				require.NoError(t, rogues.Start(t.Context(), c.Caller(), bad, missive{}))
				require.NoError(t, rogueCalls(where)(t.Context(), c.Node(0), bad, what))
				var good []string
				for i := range 20 {
					good = append(good, ownedBy(c, 0, fmt.Sprint("good", i, "-")))
					require.NoError(t, rogues.Start(t.Context(), c.Caller(), good[i], missive{}))
				}
				ctx := lasting(t, 10*time.Second)
				drained := make(chan error, 1)
				go func() { drained <- c.Node(0).Drain(ctx) }()
				time.Sleep(2 * time.Second)
				for _, id := range good {
					require.NoError(t, answers(t, "a neighbour", func(ctx context.Context) error {
						_, err := rogueCall.Call(ctx, c.Node(1), id, missive{})
						return err
					}))
				}
				require.GreaterOrEqual(t, c.Node(1).Sessions(), 20, "%s %s", where, what)
				err := <-drained // in time, whatever it says of the one
				if c.Node(0).Sessions() == 0 {
					require.NoError(t, err)
				}
			})
		}
	}
}

// hostile is a Handler of a logger that fails in one of its methods.
type hostile struct {
	slog.Handler
	where string
	fail  func()
	count *atomic.Int32
}

func (h hostile) at(where string) {
	if h.where == where {
		h.count.Add(1)
		h.fail()
	}
}

func (h hostile) Enabled(context.Context, slog.Level) bool        { h.at("Enabled"); return true }
func (h hostile) Handle(ctx context.Context, r slog.Record) error { h.at("Handle"); return nil }
func (h hostile) WithAttrs([]slog.Attr) slog.Handler              { h.at("WithAttrs"); return h }
func (h hostile) WithGroup(string) slog.Handler                   { h.at("WithGroup"); return h }

var failures = map[string]func(){"panics": func() { panic("log") }, "exits": runtime.Goexit,
	"panics with itself": func() { panic(spiteful{act{"Error", "panics with itself"}}) }}

// What the program's logger and its functions do is no harm to the node and its sessions.
func TestFailingLoggersAndFunctionsHarmNoSession(t *testing.T) {
	for how, fail := range failures {
		for _, where := range []string{"Enabled", "Handle", "WithAttrs", "WithGroup", "RequestEnded", "MessageEnded",
			"RequestBegun", "MessageBegun", "others", "Inject", "Extract"} {
			t.Run(where+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { functionsFail(t, where, fail) })
			})
		}
	}
}

func functionsFail(t *testing.T, where string, fail func()) {
	var count atomic.Int32
	at := func(place string) {
		if place == where {
			count.Add(1)
			fail()
		}
	}
	c := tuned(t, 2, func(_ int, cfg *node.Config) {
		cfg.Logger = slog.New(hostile{slog.DiscardHandler, where, fail, &count})
		cfg.Trace = &node.Trace{
			RequestBegun: func(ctx context.Context, _ node.TraceRequest) context.Context {
				at("RequestBegun")
				return ctx
			},
			MessageBegun: func(ctx context.Context, _ node.TraceMessage) context.Context {
				at("MessageBegun")
				return ctx
			},
			RequestEnded:   func(context.Context, node.TraceRequest) { at("RequestEnded") },
			MessageEnded:   func(context.Context, node.TraceMessage) { at("MessageEnded") },
			SessionStarted: func(node.TraceSessionStarted) { at("others") },
			SessionEnded:   func(node.TraceSessionEnded) { at("others") },
			SessionCrashed: func(node.TraceSessionCrashed) { at("others") },
			SessionMoved:   func(node.TraceSessionMoved) { at("others") },
			MoveRefused:    func(node.TraceMoveRefused) { at("others") },
			RequestRefused: func(node.TraceRequestRefused) { at("others") },
			MemberChanged:  func(node.TraceMemberChanged) { at("others") },
			NodeChanged:    func(node.TraceNodeChanged) { at("others") },
		}
		cfg.Inject = func(context.Context) []byte { at("Inject"); return []byte("x") }
		cfg.Extract = func(ctx context.Context, _ []byte) context.Context { at("Extract"); return ctx }
	}, newRogues)
	id := ownedBy(c, 0, "a")
	for _, n := range []*node.Node{c.Node(0), c.Node(1)} {
		_ = answers(t, "a start", func(ctx context.Context) error { return rogues.Start(ctx, n, id, missive{}) })
		_ = answers(t, "a call", rogueAsks(n, id, "call", ""))
		_ = answers(t, "a crash", rogueAsks(n, id, "call", "panics"))
		_ = answers(t, "a start", func(ctx context.Context) error { return rogues.Start(ctx, n, id, missive{}) })
		_ = answers(t, "started", func(ctx context.Context) error { _, err := n.Started(ctx, id); return err })
		_ = answers(t, "a subscription", func(ctx context.Context) error {
			sub, err := rogueNews.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
			if err == nil {
				sub.Close()
			}
			return err
		})
		_ = answers(t, "a renewal", func(ctx context.Context) error { _, err := n.Renew(ctx, id); return err })
		_ = answers(t, "many", func(ctx context.Context) error {
			rogues.StartMany(ctx, n, map[string]missive{ownedBy(c, 0, "m"): {}, ownedBy(c, 1, "m"): {}})
			return nil
		})
	}
	_ = answers(t, "a drain", func(ctx context.Context) error { return c.Node(0).Drain(ctx) })
	require.Zero(t, c.Node(0).Sessions(), "all have moved")
	if where != "WithGroup" {
		require.Positive(t, count.Load(), "it was called")
	}
}

func rogueAsks(n *node.Node, id, where, what string) func(ctx context.Context) error {
	return func(ctx context.Context) error { return rogueCalls(where)(ctx, n, id, what) }
}
