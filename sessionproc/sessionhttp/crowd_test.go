package sessionhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// Streams beyond the bounds get 503 with Retry-After; a place is free again when its
// stream has ended.
func TestStreamsAreBoundedPerSessionAndInAll(t *testing.T) {
	heard := make(chan error, 10)
	s := newSite(t, sessionhttp.EventsConfig[string]{MaxStreams: 3, MaxStreamsPerSession: 2,
		Retry:   1500 * time.Millisecond,
		OnError: func(_ *http.Request, err error) { heard <- err }})
	s.start("a")
	s.start("b")
	refused := func(id, setting string) {
		t.Helper()
		l := s.listen(id, "")
		require.Equal(t, http.StatusServiceUnavailable, l.answer.StatusCode)
		require.Equal(t, "2", l.answer.Header.Get("Retry-After"))
		err := <-heard
		require.ErrorIs(t, err, sessionhttp.ErrTooManyStreams)
		require.ErrorContains(t, err, setting)
	}
	first := s.listen("a", "")
	require.Equal(t, http.StatusOK, first.answer.StatusCode)
	require.Equal(t, http.StatusOK, s.listen("a", "").answer.StatusCode)
	refused("a", "MaxStreamsPerSession is 2")
	require.Equal(t, http.StatusOK, s.listen("b", "").answer.StatusCode)
	refused("b", "MaxStreams is 3")
	first.cancel()
	require.Eventually(t, func() bool {
		again := s.listen("b", "").answer.StatusCode == http.StatusOK
		if !again {
			<-heard
		}
		return again
	}, 30*time.Second, 20*time.Millisecond)

	for _, cfg := range []sessionhttp.EventsConfig[string]{{MaxStreams: -1}, {MaxStreamsPerSession: -1}} {
		_, err := sessionhttp.Events(s.node, written, cfg)
		require.ErrorContains(t, err, "it is negative (-1)")
	}
}

// A wrapper that flushes, and hides all else.
type flusher struct{ w http.ResponseWriter }

func (f flusher) Header() http.Header         { return f.w.Header() }
func (f flusher) Write(b []byte) (int, error) { return f.w.Write(b) }
func (f flusher) WriteHeader(status int)      { f.w.WriteHeader(status) }
func (f flusher) Flush()                      { f.w.(http.Flusher).Flush() }

// One that can be unwrapped.
type wrapper struct{ flusher }

func (w wrapper) Unwrap() http.ResponseWriter { return w.w }

// A stream that http.Server.WriteTimeout will cut, because a wrapper hides how to lift
// it, is told of; no other is.
func TestStreamThatWriteTimeoutWillCutIsReported(t *testing.T) {
	for _, row := range []struct {
		name    string
		wrap    func(http.ResponseWriter) http.ResponseWriter
		timeout time.Duration
		told    bool
	}{
		{"no Unwrap", func(w http.ResponseWriter) http.ResponseWriter { return flusher{w} }, time.Minute, true},
		{"no Unwrap, no timeout", func(w http.ResponseWriter) http.ResponseWriter { return flusher{w} }, 0, false},
		{"Unwrap", func(w http.ResponseWriter) http.ResponseWriter { return wrapper{flusher{w}} }, time.Minute, false},
		{"no wrapper", func(w http.ResponseWriter) http.ResponseWriter { return w }, time.Minute, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			heard := make(chan error, 10)
			s := newSite(t, sessionhttp.EventsConfig[string]{OnError: func(_ *http.Request, err error) { heard <- err }})
			s.start("a")
			front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s.stream.ServeHTTP(row.wrap(w), r)
			}))
			front.Config.WriteTimeout = row.timeout
			front.Start()
			defer front.Close()
			defer s.stream.Close()
			s.srv.Close()
			s.srv = front
			l := s.listen("a", "")
			event, _ := l.next()
			require.NotEmpty(t, event)
			require.Equal(t, row.told, len(heard) == 1)
			if row.told {
				require.ErrorIs(t, <-heard, sessionhttp.ErrServerTimeout)
			}
		})
	}
}
