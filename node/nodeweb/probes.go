// Package nodeweb has HTTP handlers about a node.
//
// Ready and Live answer the probes of load balancers and of Kubernetes:
//
//	mux.Handle("GET /ready", nodeweb.Ready(n))
//	mux.Handle("GET /live", nodeweb.Live(n))
//
// A readiness probe every 2 s and a Shutdown.ReadyDelay of three of these suit each other. A liveness probe need
// not be quick.
package nodeweb

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Ready answers with 200 while n should get traffic, and otherwise with 503 and the reason in a line, which is what
// Node.Ready says: it drains or leaves, it has no quorum, no seed has answered, it is closed. A node that is not
// ready still answers and forwards requests until it is closed.
//
// With ?verbose in the URL further lines say how the node is: its members by state, how far a drain is, and
// which members are silent, lost or waited for. They name members and addresses, and no session.
func Ready(n *node.Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := n.Ready()
		if n == nil || !r.URL.Query().Has("verbose") {
			answer(w, err, "ready")
			return
		}
		answer(w, err, "ready", described(n.Health())...)
	})
}

// Live answers with 200 until n is closed, or was put out of the cluster by an operator (Node.Evict), and with 503
// and the reason from then on: the process has to be started anew. Neither the state of the cluster nor that of
// the node's work matters, as no restart mends it: a node without a quorum, one that drains, and one whose
// seeds do not answer live.
func Live(n *node.Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		err := n.Ready()
		if n != nil && !errors.Is(err, sessionproc.ErrClosed) {
			err = nil
		}
		answer(w, err, "live")
	})
}

func answer(w http.ResponseWriter, err error, well string, more ...string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	first, status := well, http.StatusOK
	if err != nil {
		first, status = err.Error(), http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.Join(append([]string{first}, more...), "\n")+"\n") // the prober may have gone
}

// described says in lines how a node is.
func described(h node.NodeHealth) (lines []string) {
	say := func(form string, args ...any) { lines = append(lines, fmt.Sprintf(form, args...)) }
	say("node: %s at %s, up %s", h.Name, h.Addr, time.Since(h.Started).Round(time.Second))
	for _, state := range slices.Sorted(maps.Keys(h.Members)) {
		say("members %s: %d", state, h.Members[state])
	}
	say("sessions: %d", h.Progress.Sessions)
	if h.Progress.Draining {
		say("draining: %d moved, about %s left", h.Progress.Moved, h.Progress.Left.Round(time.Second))
	}
	if h.Memory != "" {
		say("memory: %s", h.Memory)
	}
	for _, m := range h.Lost {
		say("lost: %s at %s, %s ago, with %d sessions", m.Name, m.Addr, time.Since(m.Since).Round(time.Second), m.Sessions)
	}
	for _, m := range h.Silent {
		say("silent: %s at %s, for %s: %s", m.Name, m.Addr, time.Since(m.Since).Round(time.Second), m.Cause)
	}
	for _, m := range h.Waiting {
		say("waiting for: %s, for %d partitions", m.Name, m.Partitions)
	}
	return lines
}
