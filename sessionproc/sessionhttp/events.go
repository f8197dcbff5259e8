package sessionhttp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// EventsConfig says how a session's events are sent to browsers. Its zero value
// works; durations beyond a day count as a day.
type EventsConfig[T any] struct {
	// Session picks the session whose events a request gets, and decides whether
	// the request may have them. If not, it answers the request and returns false;
	// a browser's EventSource gives up then. Default: the session of the request's
	// own cookie, see [ID].
	Session func(w http.ResponseWriter, r *http.Request) (id string, ok bool)

	// Encode makes the data that the browser gets of a value; it may have several
	// lines. Default: JSON.
	Encode func(v T) ([]byte, error)

	// Name is the type of the browser's events, what addEventListener takes.
	// Default: "message", which onmessage hears too.
	Name string

	// Subscribe is what a subscription begins with, but for After, which comes
	// from the request.
	Subscribe sessionproc.SubscribeOptions

	// Heartbeat is how often a comment is sent while nothing else is, so that
	// proxies leave the connection open and browsers that have gone are found.
	// Default: 15 s.
	Heartbeat time.Duration

	// Retry is how long a browser waits before it reconnects; each is told up to
	// half as much more, so that not all of a replica's come at once. Default: 1 s.
	Retry time.Duration

	// WriteTimeout is how long a browser may take nothing of what is sent, before
	// its stream is cut. It holds in place of the http.Server's. Default: 10 s.
	WriteTimeout time.Duration

	// MaxStreams bounds the streams that this handler has open, and
	// MaxStreamsPerSession those of one session among them: a request beyond it is
	// answered with 503 and Retry-After, and OnError hears ErrTooManyStreams.
	// Defaults: 16,384 and 64.
	MaxStreams, MaxStreamsPerSession int

	// OnError is told why a stream could not begin or was broken off, and with
	// ErrServerTimeout that the server will cut one. It is not told that a browser has
	// gone. It may be called concurrently. Default: nobody is told.
	OnError func(r *http.Request, err error)
}

// longest is what longer durations of an EventsConfig count as.
const longest = 24 * time.Hour

func (c EventsConfig[T]) withDefaults() (EventsConfig[T], error) {
	for name, d := range map[string]*time.Duration{"Heartbeat": &c.Heartbeat, "Retry": &c.Retry, "WriteTimeout": &c.WriteTimeout} {
		if *d < 0 || *d > 0 && *d < time.Millisecond {
			return c, fmt.Errorf("sessionhttp: EventsConfig.%s: %v, it is 0 or at least one millisecond", name, *d)
		}
		*d = min(*d, longest)
	}
	switch {
	case strings.ContainsAny(c.Name, "\r\n\x00"):
		return c, fmt.Errorf("sessionhttp: EventsConfig.Name: %q is more than one line", c.Name)
	case c.Name == nameGap || c.Name == nameEnded:
		return c, fmt.Errorf("sessionhttp: EventsConfig.Name: %q is one of the library's", c.Name)
	case !c.Subscribe.After.IsZero():
		return c, errors.New("sessionhttp: EventsConfig.Subscribe.After: it comes from the request")
	case c.Subscribe.Buffer < 0:
		return c, fmt.Errorf("sessionhttp: EventsConfig.Subscribe.Buffer: it is negative (%d)", c.Subscribe.Buffer)
	}
	for _, n := range []struct {
		name      string
		field     *int
		otherwise int
	}{{"MaxStreams", &c.MaxStreams, 1 << 14}, {"MaxStreamsPerSession", &c.MaxStreamsPerSession, 64}} {
		if *n.field < 0 {
			return c, fmt.Errorf("sessionhttp: EventsConfig.%s: it is negative (%d)", n.name, *n.field)
		}
		*n.field = cmp.Or(*n.field, n.otherwise)
	}
	for _, d := range []struct {
		field     *time.Duration
		otherwise time.Duration
	}{{&c.Heartbeat, 15 * time.Second}, {&c.Retry, time.Second}, {&c.WriteTimeout, 10 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.otherwise
		}
	}
	if c.Session == nil {
		c.Session = ownSession
	}
	if c.Encode == nil {
		c.Encode = func(v T) ([]byte, error) { return json.Marshal(v) }
	}
	return c, nil
}

func ownSession(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	if id, ok = ID(r.Context()); !ok {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError) // no middleware
	}
	return id, ok
}

// EventStream is the handler that [Events] returns.
type EventStream[T any] struct {
	caller sessionproc.Caller
	event  *sessionproc.Event[T]
	cfg    EventsConfig[T]
	crowd  crowd
	once   sync.Once
	over   chan struct{} // closed by Close
}

// Events returns a handler that sends what a session publishes of e to browsers, as
// Server-Sent Events, for as long as they listen:
//
//	changes, err := sessionhttp.Events(n, cart.Changed, sessionhttp.EventsConfig[cart.View]{})
//	...
//	mux.Handle("GET /events", changes)
//	srv.RegisterOnShutdown(changes.Close)
//
//	// in the page:
//	new EventSource("/events").onmessage = (e) => show(JSON.parse(e.data))
//
// First comes the present value, then each later one, in order. Every event has an
// id, the value's position, and a browser that has lost its connection comes back
// with the last one (Last-Event-ID), to whatever replica: it misses nothing of what
// its session still keeps, see sessionproc.EventConfig, whether or not the session
// has moved meanwhile. Where something is missing all the same, an event of type
// "gap" comes first. When the session ends, an event of type "ended" has the reason
// as its data; then the stream ends, and a browser that comes again gets 404 unless
// there is a new session.
//
// A stream is no use of the session: it does not keep it from its idle timeout.
//
// A browser gives up for good if the answer is not a stream, so where it is to come
// again (the session's node cannot be reached, this one closes, the session has been
// renewed and the browser has another cookie by now) it gets one that ends at once.
// Over HTTP/1 a browser opens at most six connections to a site: serve many windows
// over HTTP/2.
//
// Compression and buffering on the way hold events back. The answer tells proxies not
// to ("no-transform", "X-Accel-Buffering: no"); middleware in front that wraps the
// http.ResponseWriter must have a method Unwrap, or a method Flush if the server has
// no WriteTimeout.
//
// The error names the field of cfg that cannot work.
func Events[T any](c sessionproc.Caller, e *sessionproc.Event[T], cfg EventsConfig[T]) (*EventStream[T], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &EventStream[T]{caller: c, event: e, cfg: cfg, over: make(chan struct{})}, nil
}

// Close ends all streams, each between two events, and those to come at once: their
// browsers reconnect, to another replica. It is what http.Server.RegisterOnShutdown
// takes: Shutdown waits for streams otherwise until its ctx ends.
func (s *EventStream[T]) Close() { s.once.Do(func() { close(s.over) }) }

// ServeHTTP implements http.Handler. It returns when the stream has ended.
func (s *EventStream[T]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := s.cfg.Session(w, r)
	if !ok {
		return
	}
	err := s.serve(w, r, id)
	if err == nil || s.cfg.OnError == nil {
		return
	}
	if slow := errors.Is(err, os.ErrDeadlineExceeded); slow || r.Context().Err() == nil { // else the browser has gone
		s.cfg.OnError(r, err)
	}
}

func (s *EventStream[T]) serve(w http.ResponseWriter, r *http.Request, id string) error {
	out := newEventWriter(w, s.cfg.WriteTimeout)
	defer out.close()
	begin := func() error { return out.begin(s.cfg.Retry + rand.N(s.cfg.Retry/2+1)) }
	select {
	case <-s.over:
		return begin()
	default:
	}
	if r.Method == http.MethodHead {
		return begin()
	}
	if err := s.crowd.enter(id, s.cfg.MaxStreams, s.cfg.MaxStreamsPerSession); err != nil {
		refuseStream(w, s.cfg.Retry)
		return err
	}
	defer s.crowd.leave(id)
	if s.cfg.OnError != nil && cannotLift(out.control, r) {
		s.cfg.OnError(r, ErrServerTimeout)
	}
	o := s.cfg.Subscribe
	o.After, _ = sessionproc.ParsePosition(r.Header.Get("Last-Event-ID")) // else the present value
	sub, err := s.event.Subscribe(r.Context(), s.caller, id, o)
	switch {
	case err != nil && comesAgain(err):
		keepCookie(w.Header(), err)
		return errors.Join(err, begin())
	case err != nil:
		WriteError(w, err)
		return err
	}
	defer sub.Close()
	if err := begin(); err != nil {
		return err
	}
	return s.pass(r.Context(), sub, out)
}

// comesAgain reports whether a browser that got err may be luckier next time.
func comesAgain(err error) bool {
	if errors.Is(err, sessionproc.ErrRenewed) {
		return true
	}
	switch Status(err) {
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	}
	return false
}

// burst is how many events are written before they are flushed.
const burst = 64

// pass sends what comes, until the stream is to end.
func (s *EventStream[T]) pass(ctx context.Context, sub *sessionproc.Subscription[T], out *eventWriter) error {
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-s.over:
			return nil
		case <-ctx.Done():
			return nil
		case <-beat.C:
			out.comment()
		case <-sub.Ready():
			if over, err := s.passSome(ctx, sub, out); over || err != nil {
				return errors.Join(err, out.flush())
			}
			beat.Reset(s.cfg.Heartbeat)
		}
		if err := out.flush(); err != nil {
			return err
		}
	}
}

// passSome writes what is there, of which there is something.
func (s *EventStream[T]) passSome(ctx context.Context, sub *sessionproc.Subscription[T], out *eventWriter) (over bool, err error) {
	for range burst {
		u, err := sub.Next(ctx)
		if err != nil {
			return true, s.finish(out, err)
		}
		data, err := s.cfg.Encode(u.Value)
		if err != nil {
			return true, fmt.Errorf("sessionhttp: event %q: %w", s.event.Name(), err)
		}
		if u.Gap {
			out.event(nameGap, "", nil)
		}
		out.event(s.cfg.Name, u.Position.String(), data)
		select {
		case <-sub.Ready():
		default:
			return false, nil
		}
	}
	return false, nil
}

// finish writes what the browser hears of the end of a subscription.
func (s *EventStream[T]) finish(out *eventWriter, err error) error {
	end, ended := errors.AsType[*sessionproc.Ended](err)
	switch {
	case ended && end.Reason == sessionproc.ReasonRenewed: // the browser comes again with its new cookie
		return nil
	case ended:
		out.event(nameEnded, "", []byte(end.Reason))
		return nil
	case errors.Is(err, sessionproc.ErrClosed):
		return nil
	}
	return err
}
