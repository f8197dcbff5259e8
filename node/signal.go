package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	ossignal "os/signal"
	"syscall"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

// Shutdown says how RunUntilSignal ends a program. Negative values are refused.
type Shutdown struct {
	// HTTP is the web server in front of the node; the program has it serve by
	// itself. Event streams and other long answers are told to end by what was
	// registered with its RegisterOnShutdown: a browser's EventSource then
	// reconnects, to another replica. Default none.
	HTTP *http.Server
	// ReadyDelay is how long HTTP goes on serving, at least, after Ready has
	// become an error: a load balancer goes on sending for as long as its
	// probes take to fail. Default 5 s.
	ReadyDelay time.Duration
	// Timeout bounds all of it, from the signal on, Config.LeaveGrace included. Keep it below the time
	// after which the program is killed (Kubernetes:
	// terminationGracePeriodSeconds, 30 s unless set). Default 50 s.
	Timeout time.Duration
}

const (
	drainShare = 0.8             // of Timeout: until then sessions may move
	httpShare  = 0.9             // until then begun requests may end; the rest is for leaving
	sameSignal = time.Second     // a signal so soon after the end of ctx is what has ended it
	sameOrder  = 2 * time.Second // SIGTERMs within it are one
)

// RunUntilSignal waits for SIGTERM, SIGINT or the end of ctx and then ends node
// and web server so that nobody notices, in this order:
//
//  1. Ready becomes an error, and the node drains. HTTP goes on serving, for
//     ReadyDelay at least: no request that comes within it fails.
//  2. HTTP is shut down: no new connections, event streams are told to end
//     (RegisterOnShutdown), and begun requests are answered.
//  3. The node leaves the cluster and is closed.
//
// It returns nil if all of that was done in time; otherwise the error says what
// was not, and everything is closed all the same. It also returns, with HTTP
// shut down, if the node is closed by anyone else. A second signal is the abrupt
// end: HTTP and node are closed at once. But SIGTERMs within 2 s of the first one are
// one, as supervisors send them to a process and to its group; and if ctx has ended
// first, a signal within a second is taken for what ended it.
func RunUntilSignal(ctx context.Context, n *Node, s Shutdown) error {
	signals := make(chan os.Signal, 8) // so that a SIGINT is not lost behind SIGTERMs
	ossignal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer ossignal.Stop(signals)
	return runUntil(ctx, signals, n, s)
}

func runUntil(ctx context.Context, signals <-chan os.Signal, n *Node, s Shutdown) error {
	s, err := s.withDefaults()
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if n == nil {
		return errNil
	}
	var o orders
	select {
	case sig := <-signals:
		o.repeats(sig, time.Now())
		n.log.Info("signal, the node shuts down", "signal", sig.String())
	case <-ctx.Done():
		o.ended = time.Now()
	case <-n.stopped:
	}
	ordered, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.inOrder(ordered, n) }() // ended by cancel and the closing of both
	for {
		select {
		case err := <-done:
			return err
		case sig := <-signals:
			if o.repeats(sig, time.Now()) {
				n.log.Info("the same signal again", "signal", sig.String())
				continue
			}
			n.log.Warn("another signal, the node is closed abruptly", "signal", sig.String())
			cancel()
			err := errors.Join(s.close(), n.Close())
			<-done
			return errors.Join(fmt.Errorf("node: shutdown: cut short by another signal (%v)", sig), err)
		}
	}
}

// orders tells a second order to end from the first one that comes again.
type orders struct {
	ended time.Time // when ctx ended; zero: it has not, or its signal has come
	term  time.Time // when the first SIGTERM came; zero: none has
}

// repeats reports whether a signal says what was said before.
func (o *orders) repeats(sig os.Signal, now time.Time) bool {
	again := !o.term.IsZero()
	if sig == syscall.SIGTERM && !again {
		o.term = now
	}
	if !o.ended.IsZero() && now.Sub(o.ended) <= sameSignal {
		o.ended = time.Time{}
		return true
	}
	return sig == syscall.SIGTERM && again && now.Sub(o.term) <= sameOrder
}

func (s Shutdown) withDefaults() (Shutdown, error) {
	switch {
	case s.ReadyDelay < 0:
		return s, fmt.Errorf("negative Shutdown.ReadyDelay (%v)", s.ReadyDelay)
	case s.Timeout < 0:
		return s, fmt.Errorf("negative Shutdown.Timeout (%v)", s.Timeout)
	}
	s.ReadyDelay, s.Timeout = min(s.ReadyDelay, ages), min(s.Timeout, ages)
	if s.ReadyDelay == 0 {
		s.ReadyDelay = 5 * time.Second
	}
	if s.Timeout == 0 {
		s.Timeout = 50 * time.Second
	}
	if share := time.Duration(drainShare * float64(s.Timeout)); s.ReadyDelay > share {
		return s, fmt.Errorf("Shutdown.ReadyDelay is %v, at most %v is possible with a Timeout of %v", s.ReadyDelay, share,
			s.Timeout)
	}
	return s, nil
}

// inOrder is what RunUntilSignal promises.
func (s Shutdown) inOrder(ctx context.Context, n *Node) error {
	begun := time.Now()
	if n.routes.Load().Closed {
		err := s.shutHTTP(ctx)
		if n.evicted.Load() {
			err = errors.Join(errEvicted, err)
		}
		return err
	}
	upTo := func(share float64) (context.Context, context.CancelFunc) {
		return context.WithDeadline(ctx, begun.Add(time.Duration(share*float64(s.Timeout))))
	}
	drain, cancel := upTo(drainShare)
	defer cancel()
	_ = n.drain(drain, false) // what it could not do Leave tries again, and says
	lifetime.Pause(ctx, time.Until(begun.Add(s.ReadyDelay)))
	requests, cancel := upTo(httpShare)
	defer cancel()
	return errors.Join(s.shutHTTP(requests), n.depart(ctx, 0), n.Close())
}

// shutHTTP lets begun requests end, until ctx does.
func (s Shutdown) shutHTTP(ctx context.Context) error {
	if s.HTTP == nil {
		return nil
	}
	if err := s.HTTP.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("node: shutdown: begun requests were cut: %w", err), s.close())
	}
	return nil
}

func (s Shutdown) close() error {
	if s.HTTP == nil {
		return nil
	}
	return s.HTTP.Close()
}
