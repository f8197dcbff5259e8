package nodeweb_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodeweb"
)

// probe is what a handler answers to a GET.
func probe(t *testing.T, h http.Handler, target string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	return w.Code, w.Body.String()
}

func cluster(t *testing.T, quorum int) *nodetest.Cluster {
	return nodetest.Start(t, nodetest.Config{Nodes: 3, Tune: func(_ int, cfg *node.Config) { cfg.Quorum = quorum }})
}

// A node that drains gets no more traffic, and is not restarted.
func TestADrainingNodeIsLiveAndNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, 0)
		n := c.Node(0)
		for target, h := range map[string]http.Handler{"/ready": nodeweb.Ready(n), "/live": nodeweb.Live(n)} {
			status, _ := probe(t, h, target)
			require.Equal(t, http.StatusOK, status, target)
		}
		require.NoError(t, n.Drain(t.Context()))
		status, body := probe(t, nodeweb.Ready(n), "/ready")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, n.Ready().Error()+"\n", body)
		status, _ = probe(t, nodeweb.Live(n), "/live")
		require.Equal(t, http.StatusOK, status)
	})
}

// A node of the minority waits for the others: a restart would only lose its sessions.
func TestANodeWithoutAQuorumIsLiveAndNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, 2)
		n := c.Node(2)
		c.Isolate(2)
		time.Sleep(30 * time.Second)
		status, body := probe(t, nodeweb.Ready(n), "/ready?verbose")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, body, "quorum")
		require.Contains(t, body, "node: "+n.Name())
		require.Contains(t, body, "members serving: 1")
		require.Contains(t, body, "lost: "+c.Node(0).Name())
		status, _ = probe(t, nodeweb.Live(n), "/live")
		require.Equal(t, http.StatusOK, status)
		c.Heal()
		c.Settle()
		time.Sleep(15 * time.Second) // it answers when the others have given back what is its own, or by then
		status, body = probe(t, nodeweb.Ready(n), "/ready?verbose")
		require.Equal(t, http.StatusOK, status)
		require.NotContains(t, body, "lost: ")
	})
}

// Only what a new process mends is no life.
func TestAClosedOrEvictedNodeIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, 0)
		out, closed := c.Node(2), c.Node(1)
		require.NoError(t, c.Node(0).Evict(out.Name()))
		time.Sleep(time.Second)
		require.NoError(t, closed.Close())
		for _, n := range []*node.Node{out, closed, nil} {
			for _, h := range []http.Handler{nodeweb.Live(n), nodeweb.Ready(n)} {
				status, body := probe(t, h, "/?verbose=no")
				require.Equal(t, http.StatusServiceUnavailable, status)
				require.NotEmpty(t, body)
			}
		}
		_, body := probe(t, nodeweb.Live(out), "/live")
		require.Contains(t, body, "put this node out")
	})
}
