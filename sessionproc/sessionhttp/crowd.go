package sessionhttp

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// ErrTooManyStreams is passed to EventsConfig.OnError if a stream was refused because of MaxStreams
// or MaxStreamsPerSession.
var ErrTooManyStreams = errors.New("sessionhttp: too many streams of events")

// ErrServerTimeout is passed to EventsConfig.OnError for a stream that the server will cut:
// http.Server.WriteTimeout is set and cannot be lifted, because middleware wraps the
// http.ResponseWriter without a method Unwrap.
var ErrServerTimeout = errors.New("sessionhttp: http.Server.WriteTimeout will cut a stream of events: " +
	"a wrapper of the http.ResponseWriter has no method Unwrap")

// A crowd counts the open streams. It is safe for concurrent use.
type crowd struct {
	mu        sync.Mutex // guards the rest
	all       int
	bySession map[string]int
}

// enter counts a stream of a session, or returns an error that names the limit.
func (c *crowd) enter(id string, most, perSession int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.all >= most:
		return fmt.Errorf("%w: EventsConfig.MaxStreams is %d", ErrTooManyStreams, most)
	case c.bySession[id] >= perSession:
		return fmt.Errorf("%w: EventsConfig.MaxStreamsPerSession is %d", ErrTooManyStreams, perSession)
	}
	if c.bySession == nil {
		c.bySession = map[string]int{}
	}
	c.all++
	c.bySession[id]++
	return nil
}

func (c *crowd) leave(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.bySession[id]--; c.bySession[id] == 0 {
		delete(c.bySession, id)
	}
}

// refuseStream answers a request for a stream beyond a limit.
func refuseStream(w http.ResponseWriter, retry time.Duration) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", strconv.FormatInt(int64((retry+time.Second-1)/time.Second), 10))
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}

// cannotLift reports whether the server of r has a WriteTimeout that control cannot change.
func cannotLift(control *http.ResponseController, r *http.Request) bool {
	srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	return ok && srv.WriteTimeout > 0 && errors.Is(control.SetWriteDeadline(time.Time{}), http.ErrNotSupported)
}
