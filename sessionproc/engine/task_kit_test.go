package engine_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

var (
	buyers  = sessionproc.KindOf[sessionproc.None]("buyer")
	buy     = sessionproc.MethodOf[purchase, sessionproc.None](buyers, "buy")
	desist  = sessionproc.MethodOf[string, bool](buyers, "desist")
	bought  = sessionproc.MethodOf[sessionproc.None, []string](buyers, "bought")
	receipt = sessionproc.NoticeOf[sessionproc.Result[string]](buyers, "receipt")
	charge  = sessionproc.TaskOf[string, string](buyers, "charge")
)

// A purchase begins a task.
type purchase struct {
	Name  string
	Item  string
	Limit time.Duration
	Retry bool // by GoWith
	Crash bool // the handler panics afterwards
	Begin bool // the handler of the result begins the next one
}

// buyer is a state that has what its tasks came to.
type buyer struct {
	Asked []string
	Got   []string
	Again []purchase
}

// bank is what a buyer's work does. It is the same for all nodes of a test.
type bank struct {
	work    func(ctx context.Context, item string) (string, error)
	receipt func(ctx context.Context, r sessionproc.Result[string]) error
	merge   func(*buyer, context.Context, *buyer) error
	kind    sessionproc.KindConfig
}

func (s *bank) make() sessionproc.AnyKind {
	k := sessionproc.NewKind(buyers, startsAs[buyer, sessionproc.None], s.kind)
	sessionproc.HandleCall(k, buy, func(b *buyer, ctx context.Context, p purchase) (sessionproc.None, error) {
		b.Asked = append(b.Asked, p.Name)
		err := s.begin(ctx, p)
		if err == nil && p.Begin {
			p.Begin = false
			b.Again = append(b.Again, p)
		}
		if p.Crash {
			panic("as it was told")
		}
		return sessionproc.None{}, s.said(err)
	})
	sessionproc.HandleCall(k, desist, func(_ *buyer, ctx context.Context, name string) (bool, error) {
		return sessionproc.CancelTask(ctx, name), nil
	})
	sessionproc.HandleCall(k, bought, func(b *buyer, _ context.Context, _ sessionproc.None) ([]string, error) {
		return b.Got, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCast(k, receipt, func(b *buyer, ctx context.Context, r sessionproc.Result[string]) error {
		b.Got = append(b.Got, r.Name+": "+outcome(r.Value, r.Err))
		if len(b.Again) > 0 && b.Again[0].Name == r.Name {
			next := b.Again[0]
			b.Again = b.Again[1:]
			if err := s.begin(ctx, next); err != nil {
				return err
			}
		}
		if s.receipt != nil {
			return s.receipt(ctx, r)
		}
		return nil
	})
	sessionproc.HandleTask(k, charge, s.work)
	if s.merge != nil {
		k.OnMerge(s.merge)
	}
	return k
}

func (s *bank) begin(ctx context.Context, p purchase) error {
	cfg := sessionproc.TaskConfig{Limit: p.Limit, Retry: p.Retry}
	if p.Retry {
		return sessionproc.GoWith(ctx, p.Name, p.Item, charge, receipt, cfg)
	}
	return sessionproc.Go(ctx, p.Name, func(ctx context.Context) (string, error) { return s.work(ctx, p.Item) }, receipt, cfg)
}

// errBegin has the sentinels of Go as errors that arrive at a caller.
var errBegin = map[error]error{
	sessionproc.ErrTaskRunning:  sessionproc.NewError("running", "running"),
	sessionproc.ErrTooManyTasks: sessionproc.NewError("many", "many"),
}

func (s *bank) said(err error) error {
	for is, as := range errBegin {
		if errors.Is(err, is) {
			return as
		}
	}
	return err
}

// outcome is a value or the sentinel that an error is.
func outcome(value string, err error) string {
	for _, known := range []struct {
		name string
		is   error
	}{
		{"lost", sessionproc.ErrTaskLost}, {"crashed", sessionproc.ErrCrashed}, {"late", context.DeadlineExceeded},
		{"cancelled", context.Canceled}, {"declined", errDeclined}, {"unavailable", sessionproc.ErrUnavailable},
		{"gone", sessionproc.ErrNotFound},
	} {
		if errors.Is(err, known.is) {
			return known.name
		}
	}
	if err != nil {
		return "failed: " + err.Error()
	}
	return value
}

var errDeclined = sessionproc.NewError("declined", "the card was declined")

// takes is work that takes so long.
func takes(d time.Duration) func(ctx context.Context, item string) (string, error) {
	return func(ctx context.Context, item string) (string, error) {
		select {
		case <-time.After(d):
			return item, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func newBank(t testing.TB, s *bank) *local { return newLocal(t, s.make()) }

func (l *local) startBuyer(t testing.TB, id string) {
	require.NoError(t, buyers.Start(t.Context(), l, id, sessionproc.None{}))
}

func (l *local) buy(t testing.TB, id string, p purchase) error {
	_, err := buy.Call(t.Context(), l, id, p)
	return err
}

func (l *local) requireBought(t testing.TB, id string, want ...string) {
	t.Helper()
	got, err := bought.Call(t.Context(), l, id, sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// members are tables that ask one another for the results of tasks.
type members struct {
	mu  sync.Mutex
	all map[string]*local // guarded by mu
}

// add makes a table that is a member.
func (m *members) add(t testing.TB, name string, boot uint64, kind sessionproc.AnyKind,
	change ...func(*engine.TableConfig)) *local {
	l := newLocalWith(t, func(cfg *engine.TableConfig) {
		cfg.Member, cfg.Boot, cfg.PullTasks = name, boot, m.pull
		for _, change := range change {
			change(cfg)
		}
	}, kind)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[string]*local{}
	}
	m.all[name] = l
	return l
}

// remove has a member be gone.
func (m *members) remove(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, name)
}

func (m *members) pull(ctx context.Context, member string, q *engine.TaskQuery) (*engine.TaskAnswer, error) {
	m.mu.Lock()
	l := m.all[member]
	m.mu.Unlock()
	if l == nil {
		return nil, engine.ErrNoRunner
	}
	return l.table.ServeTasks(ctx, q), nil
}
