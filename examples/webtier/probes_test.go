package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A replica tells a prober that it drains, and browsers cannot ask it.
func TestProbesAreAnsweredByReplicasAlone(t *testing.T) {
	n, err := node.Start(t.Context(), node.Config{Kinds: []sessionproc.AnyKind{NewCarts()},
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	replica, err := (&shop{node: n, promoted: new(atomic.Int64), metrics: http.NotFoundHandler(),
		logger: slog.New(slog.DiscardHandler)}).
		handler(bytes.Repeat([]byte("k1"), 16))
	require.NoError(t, err)
	balancer := newBalancer(nil, nil, nil, nil, slog.New(slog.DiscardHandler))
	asked := func(h http.Handler, path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w.Code
	}
	for _, path := range []string{readyPath, livePath, statusPath} {
		require.Equal(t, http.StatusOK, asked(replica, path), path)
		require.Equal(t, http.StatusNotFound, asked(balancer, path), path)
	}
	require.NoError(t, n.Drain(t.Context()))
	require.Equal(t, http.StatusServiceUnavailable, asked(replica, readyPath))
	require.Equal(t, http.StatusOK, asked(replica, livePath))
}
