package engine_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// standbys takes records and answers each after a delay, as decide says. With a negative delay a record is
// answered only by release.
type standbys struct {
	t     testing.TB
	table *engine.Table

	mu       sync.Mutex
	delay    time.Duration
	decide   func(r *engine.Record) error  // nil: all are durable
	next     func() (time.Duration, error) // the delay and the outcome of each record; nil: as above
	failed   bool                          // the last record that was answered
	inFlight map[string]*engine.Record
	durable  map[string]engine.Record // the last one of each session, copied
	all      []engine.Record          // all that were given, copied
}

func copyOf(r *engine.Record) engine.Record {
	return engine.Record{Partition: r.Partition, ID: r.ID, Kind: r.Kind, Seq: r.Seq, Form: r.Form,
		Version: slices.Clone(r.Version), Life: slices.Clone(r.Life), Body: slices.Clone(r.Body)}
}

// Keep implements Standbys.
func (s *standbys) Keep(r *engine.Record) {
	s.mu.Lock()
	assert.Nil(s.t, s.inFlight[r.ID], "two records of a session are in flight")
	if last := s.lastLocked(r.ID); last.ID != "" {
		assert.Greater(s.t, r.Seq, last.Seq)
	}
	s.inFlight[r.ID] = r
	s.all = append(s.all, copyOf(r))
	delay, decide := s.delay, s.decide
	if s.next != nil {
		var err error
		delay, err = s.next()
		decide = func(*engine.Record) error { return err }
	}
	s.mu.Unlock()
	switch {
	case delay == 0:
		s.answerAs(r, decide)
	case delay > 0:
		time.AfterFunc(delay, func() { s.answerAs(r, decide) })
	}
}

// answer answers a record as is decided now.
func (s *standbys) answer(r *engine.Record) {
	s.mu.Lock()
	decide := s.decide
	s.mu.Unlock()
	s.answerAs(r, decide)
}

func (s *standbys) answerAs(r *engine.Record, decide func(*engine.Record) error) {
	s.mu.Lock()
	var err error
	if decide != nil {
		err = decide(r)
	}
	if err == nil {
		s.durable[r.ID] = copyOf(r)
	}
	s.failed = err != nil
	delete(s.inFlight, r.ID)
	s.mu.Unlock()
	s.table.Kept(r, err)
}

// release answers the record of a session that is in flight.
func (s *standbys) release(id string) {
	s.mu.Lock()
	r := s.inFlight[id]
	s.mu.Unlock()
	require.NotNil(s.t, r, "no record of %s is in flight", id)
	s.answer(r)
}

func (s *standbys) set(delay time.Duration, decide func(r *engine.Record) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay, s.decide = delay, decide
}

// last is the last record of a session that was given.
func (s *standbys) last(id string) engine.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastLocked(id)
}

func (s *standbys) lastLocked(id string) engine.Record {
	for _, r := range slices.Backward(s.all) {
		if r.ID == id {
			return r
		}
	}
	return engine.Record{}
}

func (s *standbys) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// newKept makes a table whose sessions all have standbys that answer after a delay.
func newKept(t testing.TB, delay time.Duration, kinds ...sessionproc.AnyKind) (*local, *standbys) {
	return newKeptWith(t, delay, func(*engine.TableConfig) {}, kinds...)
}

func newKeptWith(t testing.TB, delay time.Duration, change func(*engine.TableConfig), kinds ...sessionproc.AnyKind) (
	*local, *standbys) {
	s := &standbys{t: t, delay: delay, inFlight: map[string]*engine.Record{}, durable: map[string]engine.Record{}}
	l := newLocalWith(t, func(cfg *engine.TableConfig) {
		cfg.Standbys = s
		cfg.Logger = slog.New(slog.DiscardHandler)
		change(cfg)
	}, kinds...)
	s.table = l.table
	return l, s
}

var (
	shops     = sessionproc.KindOf[int]("shop")
	shopAdd   = sessionproc.MethodOf[int, int](shops, "add")
	shopGet   = sessionproc.MethodOf[sessionproc.None, int](shops, "get") // ReadOnly
	shopPeek  = sessionproc.MethodOf[int, int](shops, "relaxed")
	shopRun   = sessionproc.MethodOf[string, int](shops, "run")
	shopBump  = sessionproc.NoticeOf[int](shops, "bump")
	shopTick  = sessionproc.NoticeOf[string](shops, "tick") // ReadOnly
	shopEnded = sessionproc.NoticeOf[sessionproc.Ended](shops, "ended")
	shopTotal = sessionproc.EventOf[int](shops, "total")
)

// A shop counts what it is told.
type shop struct{ N int }

// shopCode is what the handlers of a shop do beside that.
type shopCode struct {
	run  func(ctx context.Context, s *shop, what string) error
	tick func(ctx context.Context, s *shop, what string)
	end  func(reason sessionproc.Reason)
	kind sessionproc.KindConfig
}

func (c shopCode) make() sessionproc.AnyKind {
	c.kind.Replicas = 1
	k := sessionproc.NewKind(shops, func(_ context.Context, n int) (*shop, error) { return &shop{n}, nil }, c.kind)
	add := func(s *shop, _ context.Context, n int) (int, error) { s.N += n; return s.N, nil }
	sessionproc.HandleCall(k, shopAdd, add)
	sessionproc.HandleCall(k, shopPeek, add, sessionproc.MethodConfig{Relaxed: true})
	sessionproc.HandleCall(k, shopGet, func(s *shop, _ context.Context, _ sessionproc.None) (int, error) {
		return s.N, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, shopRun, func(s *shop, ctx context.Context, what string) (int, error) {
		return s.N, c.run(ctx, s, what)
	})
	sessionproc.HandleCast(k, shopBump, func(s *shop, _ context.Context, n int) error { s.N += n; return nil })
	sessionproc.HandleCast(k, shopTick, func(s *shop, ctx context.Context, what string) error {
		if c.tick != nil {
			c.tick(ctx, s, what)
		}
		return nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCast(k, shopEnded, func(s *shop, _ context.Context, e sessionproc.Ended) error {
		s.N += 1000
		return nil
	})
	sessionproc.HandleEvent(k, shopTotal, func(s *shop) int { return s.N })
	if c.end != nil {
		k.OnEnd(func(_ *shop, _ context.Context, reason sessionproc.Reason) { c.end(reason) })
	}
	return k
}

// A result is what a call in the background has come to.
type result struct {
	n   int
	err error
}

// asking has f called in the background.
func asking(f func() (int, error)) <-chan result {
	done := make(chan result, 1)
	go func() {
		n, err := f()
		done <- result{n, err}
	}()
	return done
}

func adding(ctx context.Context, l *local, id string, n int) <-chan result {
	return asking(func() (int, error) { return shopAdd.Call(ctx, l, id, n) })
}

func getting(ctx context.Context, l *local, id string) <-chan result {
	return asking(func() (int, error) { return shopGet.Call(ctx, l, id, sessionproc.None{}) })
}

func failing(f func() error) <-chan result { return asking(func() (int, error) { return 0, f() }) }

// requireWaits wants that an answer waits for a record.
func requireWaits(t *testing.T, c <-chan result, what string) {
	t.Helper()
	synctest.Wait()
	select {
	case r := <-c:
		require.FailNow(t, what+" is answered already", "%v", r)
	default:
	}
}

// requireAnswered wants an answer by now.
func requireAnswered(t *testing.T, c <-chan result, what string) result {
	t.Helper()
	synctest.Wait()
	select {
	case r := <-c:
		return r
	default:
		require.FailNow(t, what+" is not answered")
		return result{}
	}
}

// startShop starts a shop whose first record is durable.
func startShop(t *testing.T, l *local, s *standbys, id string) {
	t.Helper()
	started := failing(func() error { return shops.Start(t.Context(), l, id, 0) })
	synctest.Wait()
	s.release(id)
	require.NoError(t, requireAnswered(t, started, "the start").err)
}
