package sessionhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	nodes "github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// A board shows the last text that was written on it.
var (
	boards  = sessionproc.KindOf[sessionproc.None]("board")
	write   = sessionproc.MethodOf[string, sessionproc.None](boards, "write")
	wipe    = sessionproc.MethodOf[sessionproc.None, sessionproc.None](boards, "wipe")
	written = sessionproc.EventOf[string](boards, "written")
)

type board struct{ Text string }

func newBoards() sessionproc.AnyKind {
	k := sessionproc.NewKind(boards, func(context.Context, sessionproc.None) (*board, error) {
		return &board{"new"},
			nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, write, func(b *board, ctx context.Context, text string) (sessionproc.None, error) {
		b.Text = text
		return sessionproc.None{}, written.Publish(ctx, text)
	})
	sessionproc.HandleCall(k, wipe, func(_ *board, ctx context.Context, _ sessionproc.None) (sessionproc.None, error) {
		sessionproc.FromContext(ctx).Stop("wiped")
		return sessionproc.None{}, nil
	})
	sessionproc.HandleEvent(k, written, func(b *board) string { return b.Text }, sessionproc.EventConfig{Keep: 4})
	return k
}

// newNode starts a node of boards.
func newNode(t *testing.T) *nodes.Node {
	n, err := nodes.Start(t.Context(), nodes.Config{Kinds: []sessionproc.AnyKind{newBoards()}, Insecure: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// site is a node and a web server that streams the board that a request names.
type site struct {
	t      *testing.T
	node   *nodes.Node
	stream *sessionhttp.EventStream[string]
	srv    *httptest.Server
}

func newSite(t *testing.T, cfg sessionhttp.EventsConfig[string]) *site {
	if cfg.Session == nil {
		cfg.Session = func(_ http.ResponseWriter, r *http.Request) (string, bool) { return r.FormValue("board"), true }
	}
	s := &site{t: t, node: newNode(t)}
	var err error
	s.stream, err = sessionhttp.Events(s.node, written, cfg)
	require.NoError(t, err)
	s.srv = httptest.NewServer(s.stream)
	t.Cleanup(func() {
		s.stream.Close()
		s.srv.Close()
	})
	return s
}

func (s *site) start(id string) {
	s.t.Helper()
	require.NoError(s.t, boards.Start(s.t.Context(), s.node, id, sessionproc.None{}))
}

func (s *site) write(id string, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		_, err := write.Call(s.t.Context(), s.node, id, text)
		require.NoError(s.t, err)
	}
}

// listener is a browser's EventSource.
type listener struct {
	t      *testing.T
	answer *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

func (s *site) listen(id, lastID string) *listener {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.srv.URL+"/?board="+id, nil)
	require.NoError(s.t, err)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { answer.Body.Close() })
	return &listener{s.t, answer, bufio.NewScanner(answer.Body), cancel}
}

// next returns the next event as "name data", without a name if it has none, and its
// id. "" is the end.
func (l *listener) next() (event, id string) {
	l.t.Helper()
	var name, data []string
	for l.lines.Scan() {
		line := l.lines.Text()
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && data != nil:
			return strings.Join(append(name, strings.Join(data, "\n")), " "), id
		case field == "event":
			name = []string{value}
		case field == "data":
			data = append(data, value)
		case field == "id":
			id = value
		}
	}
	return "", ""
}

func (l *listener) want(events ...string) (id string) {
	l.t.Helper()
	for _, want := range events {
		var got string
		got, id = l.next()
		require.Equal(l.t, want, got)
	}
	return id
}

func TestEventsAreStreamed(t *testing.T) {
	s := newSite(t, sessionhttp.EventsConfig[string]{})
	s.start("a")
	l := s.listen("a", "")
	require.Equal(t, http.StatusOK, l.answer.StatusCode)
	require.Equal(t, "text/event-stream", l.answer.Header.Get("Content-Type"))
	require.Equal(t, "private, no-store, no-transform", l.answer.Header.Get("Cache-Control"))
	require.Equal(t, "no", l.answer.Header.Get("X-Accel-Buffering"))
	require.True(t, l.lines.Scan())
	var retry int
	_, err := fmt.Sscanf(l.lines.Text(), "retry: %d", &retry)
	require.NoError(t, err)
	require.GreaterOrEqual(t, retry, 1000)
	require.LessOrEqual(t, retry, 1500)
	l.want(`"new"`)
	s.write("a", "one", "two")
	id := l.want(`"one"`, `"two"`)

	l.cancel()
	s.write("a", "three", "four")
	l = s.listen("a", id)
	id = l.want(`"three"`, `"four"`)
	for _, wrong := range []string{"junk", "0.0@0", strings.Repeat("9", 1000)} {
		s.listen("a", wrong).want(`"four"`)
	}
	l.cancel()
	s.write("a", "5", "6", "7", "8", "9")
	s.listen("a", id).want("gap ", `"9"`)

	l = s.listen("a", "")
	l.want(`"9"`)
	_, err = wipe.Call(t.Context(), s.node, "a", sessionproc.None{})
	require.NoError(t, err)
	l.want("ended wiped", "")
	require.Equal(t, http.StatusNotFound, s.listen("a", "").answer.StatusCode)
}

func TestEventsHaveTheConfiguredNameAndEncoding(t *testing.T) {
	s := newSite(t, sessionhttp.EventsConfig[string]{
		Name:   "board",
		Encode: func(v string) ([]byte, error) { return []byte(v), nil },
	})
	s.start("a")
	l := s.listen("a", "")
	l.want("board new")
	s.write("a", "one\ntwo\r\nthree\rfour\n", "")
	l.want("board one\ntwo\nthree\nfour\n", "board ")
}

func TestValueThatDoesNotEncodeEndsTheStream(t *testing.T) {
	odd, heard := errors.New("odd"), make(chan error, 1)
	s := newSite(t, sessionhttp.EventsConfig[string]{
		Encode:  func(v string) ([]byte, error) { return []byte(v), map[bool]error{true: odd}[v == "odd"] },
		OnError: func(_ *http.Request, err error) { heard <- err },
	})
	s.start("a")
	l := s.listen("a", "")
	s.write("a", "even", "odd")
	require.Eventually(t, func() bool { got, _ := l.next(); return got == "" }, 30*time.Second, time.Millisecond)
	require.ErrorIs(t, <-heard, odd)
}

func TestEventsOfARefusedSessionAreNotStreamed(t *testing.T) {
	s := newSite(t, sessionhttp.EventsConfig[string]{Session: func(w http.ResponseWriter, r *http.Request) (string, bool) {
		if r.FormValue("board") == "hers" {
			http.Error(w, "not yours", http.StatusForbidden)
			return "", false
		}
		return "a", true
	}})
	s.start("a")
	require.Equal(t, http.StatusForbidden, s.listen("hers", "").answer.StatusCode)
	s.listen("his", "").want(`"new"`)
}

func TestEventsDefaultToTheSessionOfTheCookie(t *testing.T) {
	s := newSite(t, sessionhttp.EventsConfig[string]{Session: func(http.ResponseWriter, *http.Request) (string,
		bool) {
		return "", false
	}})
	stream, err := sessionhttp.Events(s.node, written, sessionhttp.EventsConfig[string]{})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	stream.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusInternalServerError, w.Code, "there is no middleware")

	web := newSessions(t, sessionhttp.Config{})
	id, header := signed(t, web)
	s.start(id)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil).WithContext(ctx)
	r.Header.Set("Cookie", header)
	w = httptest.NewRecorder()
	web.Middleware(stream).ServeHTTP(w, r)
	require.Contains(t, w.Body.String(), "data: \"new\"\n\n")
	require.True(t, w.Flushed)
}

func TestStreamOfARenewedSessionEndsAndGoesOnUnderTheNewID(t *testing.T) {
	var heard atomic.Int32
	s := newSite(t, sessionhttp.EventsConfig[string]{OnError: func(*http.Request, error) { heard.Add(1) }})
	s.start("a")
	l := s.listen("a", "")
	l.want(`"new"`)
	newID, err := s.node.Renew(t.Context(), "a")
	require.NoError(t, err)
	l.want("")
	again := s.listen("a", "")
	require.Equal(t, http.StatusOK, again.answer.StatusCode)
	again.want("")
	require.EqualValues(t, 1, heard.Load())
	l = s.listen(newID, "")
	l.want(`"new"`)
	s.write(newID, "on")
	l.want(`"on"`)

	require.NoError(t, s.node.Close())
	l.want("")
	again = s.listen(newID, "")
	require.Equal(t, http.StatusOK, again.answer.StatusCode)
	again.want("")
}

func TestEventsDoNotHoldUpAShutdown(t *testing.T) {
	s := newSite(t, sessionhttp.EventsConfig[string]{Retry: 20 * time.Millisecond})
	s.start("a")
	listeners := make([]*listener, 20)
	for i := range listeners {
		listeners[i] = s.listen("a", "")
		listeners[i].want(`"new"`)
	}
	srv := s.srv.Config
	srv.RegisterOnShutdown(s.stream.Close)
	require.NoError(t, srv.Shutdown(t.Context()))
	for _, l := range listeners {
		l.want("")
		require.NoError(t, l.lines.Err(), "the stream ends in good order")
	}
	w := httptest.NewRecorder()
	s.stream.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?board=a", nil))
	require.Equal(t, http.StatusOK, w.Code, "one that comes late comes again")
	require.Regexp(t, `^retry: (2[0-9]|30)\n\n$`, w.Body.String())
}

func TestIdleStreamSendsHeartbeats(t *testing.T) {
	s := newSite(t, sessionhttp.EventsConfig[string]{Heartbeat: 10 * time.Millisecond})
	s.start("a")
	l := s.listen("a", "")
	l.want(`"new"`)
	for beats := 0; beats < 3; {
		require.True(t, l.lines.Scan())
		if l.lines.Text() == ":" {
			beats++
		}
	}
}

func TestBrowserThatReadsNothingIsCut(t *testing.T) {
	heard := make(chan error, 1)
	s := newSite(t, sessionhttp.EventsConfig[string]{WriteTimeout: 50 * time.Millisecond,
		OnError: func(_ *http.Request, err error) { heard <- err }})
	s.start("a")
	s.listen("a", "").want(`"new"`)
	long := strings.Repeat("x", 1<<20)
	for {
		s.write("a", long)
		select {
		case err := <-heard:
			require.Error(t, err)
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestEventsConfigRefusesWhatCannotWork(t *testing.T) {
	for what, cfg := range map[string]sessionhttp.EventsConfig[string]{
		"Name":             {Name: "a\nb"},
		"Name: \"ended\"":  {Name: "ended"},
		"Heartbeat":        {Heartbeat: -1},
		"Retry":            {Retry: time.Microsecond},
		"WriteTimeout":     {WriteTimeout: -time.Second},
		"Subscribe.After":  {Subscribe: sessionproc.SubscribeOptions{After: sessionproc.Position{Offset: 1}}},
		"Subscribe.Buffer": {Subscribe: sessionproc.SubscribeOptions{Buffer: -1}},
	} {
		t.Run(what, func(t *testing.T) {
			s, err := sessionhttp.Events(nil, written, cfg)
			require.Nil(t, s)
			require.ErrorContains(t, err, "sessionhttp: EventsConfig."+what)
		})
	}
}
