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

// EventsConfig says how a session's events are sent to browsers. The zero value is ready to use.
// Durations above a day count as a day.
type EventsConfig[T any] struct {
	// Session returns the ID of the session whose events a request gets, and decides whether the
	// request may have them. If not, Session answers the request and returns false; a browser's
	// EventSource then gives up. Default: the session of the request's own cookie, see [ID].
	Session func(w http.ResponseWriter, r *http.Request) (id string, ok bool)

	// Encode encodes a value for the browser. The result may have several lines. Default: JSON.
	Encode func(v T) ([]byte, error)

	// Name is the type of the browser's events, for addEventListener. Default: "message", which
	// onmessage also receives.
	Name string

	// Subscribe has the options of the subscriptions. After must not be set: it comes from the
	// request.
	Subscribe sessionproc.SubscribeOptions

	// Heartbeat is the interval at which a comment is sent if there is no event, so that proxies
	// keep the connection open and lost browsers are detected. Default: 15 s.
	Heartbeat time.Duration

	// Retry is how long a browser waits before it reconnects. Each browser gets a random value up to
	// half as long again, so that those of one replica do not reconnect all at once. Default: 1 s.
	Retry time.Duration

	// WriteTimeout is how long a browser may accept no data before its stream is cut. It replaces
	// that of the http.Server. Default: 10 s.
	WriteTimeout time.Duration

	// MaxStreams bounds the open streams of the handler, and MaxStreamsPerSession those of one
	// session. A request beyond a limit is answered with 503 and Retry-After, and OnError gets
	// ErrTooManyStreams. Defaults: 16,384 and 64.
	MaxStreams, MaxStreamsPerSession int

	// OnError is told why a stream could not begin or was broken off, and with
	// ErrServerTimeout that the server will cut one. It is not told that a browser has
	// gone. It may be called concurrently. Default: nobody is told.
	OnError func(r *http.Request, err error)
}

// longest is the longest duration in an EventsConfig; longer ones count as this.
const longest = 24 * time.Hour

func (c EventsConfig[T]) withDefaults() (EventsConfig[T], error) {
	for name, d := range map[string]*time.Duration{
		"Heartbeat": &c.Heartbeat, "Retry": &c.Retry, "WriteTimeout": &c.WriteTimeout,
	} {
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

// An EventStream is the http.Handler that [Events] returns.
type EventStream[T any] struct {
	caller sessionproc.Caller
	event  *sessionproc.Event[T]
	cfg    EventsConfig[T]
	crowd  crowd
	once   sync.Once
	over   chan struct{} // closed by Close
}

// Events returns a handler that sends the values of event e to browsers as Server-Sent Events:
//
//	changes, err := sessionhttp.Events(n, cart.Changed, sessionhttp.EventsConfig[cart.View]{})
//	...
//	mux.Handle("GET /events", changes)
//	srv.RegisterOnShutdown(changes.Close)
//
//	// in the page:
//	new EventSource("/events").onmessage = (e) => show(JSON.parse(e.data))
//
// A browser gets the present value first, then each later one, in order. The id of an event is the
// position of the value. A browser that has lost its connection sends the last id (Last-Event-ID) to
// whatever replica it reaches, and continues there without a loss if the session still keeps the
// values in between (see sessionproc.EventConfig), also if the session has moved meanwhile. If
// values are missing, an event of type "gap" comes first. When the session ends, an event of type
// "ended" has the reason as its data. Then the stream ends, and a browser that reconnects gets 404
// unless there is a new session.
//
// A stream does not count as use of the session and does not postpone its idle timeout.
//
// A browser gives up for good if the answer is not a stream. So if it should reconnect, it gets a
// stream that ends at once: when the session's node cannot be reached, when this node closes, and
// when the session was renewed and the browser has another cookie by now. Over HTTP/1 a browser opens
// at most six connections to a site, so use HTTP/2 for users with many windows.
//
// Compression and buffering on the way delay events. The answer asks proxies to do neither
// ("no-transform", "X-Accel-Buffering: no"). Middleware that wraps the http.ResponseWriter must have
// a method Unwrap, or a method Flush if the server has no WriteTimeout.
//
// The error names the field of cfg that cannot work.
func Events[T any](c sessionproc.Caller, e *sessionproc.Event[T], cfg EventsConfig[T]) (*EventStream[T], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &EventStream[T]{caller: c, event: e, cfg: cfg, over: make(chan struct{})}, nil
}

// Close ends all streams, each between two events, and makes new streams end at once. Their browsers
// reconnect to another replica. Pass it to http.Server.RegisterOnShutdown; otherwise Shutdown waits
// for the streams until its ctx ends.
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
	if slow := errors.Is(err, os.ErrDeadlineExceeded); slow || r.Context().Err() == nil { // not a lost browser
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

// comesAgain reports whether a browser should reconnect after err.
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

// pass sends events until the stream must end.
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

// passSome writes the values that are ready, at least one and at most burst.
func (s *EventStream[T]) passSome(
	ctx context.Context, sub *sessionproc.Subscription[T], out *eventWriter,
) (over bool, err error) {
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

// finish writes the last event of a stream, if the browser should know of the end.
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
