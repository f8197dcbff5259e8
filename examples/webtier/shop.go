package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodeweb"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// Headers that tell which way a request went.
const (
	headerServed    = "X-Sessionproc-Served"
	headerForwarded = "X-Sessionproc-Forwarded"
)

// shop answers browsers on one replica. It keeps nothing of theirs: what it
// knows it asks the session, wherever that lives.
type shop struct {
	node     *node.Node
	name     string        // of this replica
	replicas []string      // names of all
	promoted *atomic.Int64 // carts of other replicas that went on here
	metrics  http.Handler
	logger   *slog.Logger
	changes  *sessionhttp.EventStream[View] // made by handler
}

// handler returns the shop's pages behind the session cookie. Requests that
// other sites cause are refused before anything else looks at them.
func (s *shop) handler(cookieKey []byte) (http.Handler, error) {
	web, err := sessionhttp.New(sessionhttp.Config{
		Keys:            [][]byte{cookieKey},
		IdempotencyKeys: true, // the balancer repeats what a killed replica did not answer
		Insecure:        true, // plain HTTP on loopback
	})
	if err != nil {
		return nil, err
	}
	s.changes, err = sessionhttp.Events(s.node, Changed, sessionhttp.EventsConfig[View]{
		Encode:  func(v View) ([]byte, error) { return json.Marshal(stateOf(v)) },
		Retry:   200 * time.Millisecond, // a page that misses a replica is soon at the next
		OnError: func(r *http.Request, err error) { s.logger.Debug("a page is not told of changes", "err", err) },
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.answer(look, s.writePage))
	mux.HandleFunc("GET /cart", s.answer(look, writeJSON))
	mux.Handle("GET /cart/changes", s.changes)
	mux.HandleFunc("POST /cart/add", s.answer(add, s.writeChanged))
	mux.HandleFunc("POST /cart/clear", s.answer(empty, s.writeChanged))
	all := http.NewServeMux()
	all.HandleFunc("GET "+statusPath, s.serveStatus)
	all.Handle("GET "+readyPath, nodeweb.Ready(s.node))
	all.Handle("GET "+livePath, nodeweb.Live(s.node))
	all.Handle("GET "+metricsPath, s.metrics)
	all.Handle("/", http.NewCrossOriginProtection().Handler(web.Middleware(mux)))
	return all, nil
}

// action is what a request does to the session id.
type action func(n *node.Node, id string, r *http.Request) (View, error)

// look does not start a session: who only looks around leaves nothing behind.
func look(n *node.Node, id string, r *http.Request) (View, error) {
	view, err := Look.Call(r.Context(), n, id, sessionproc.None{})
	if errors.Is(err, sessionproc.ErrNotFound) {
		return View{}, nil
	}
	return view, err
}

// add starts the session with the first tea.
func add(n *node.Node, id string, r *http.Request) (View, error) {
	qty, err := strconv.Atoi(r.PostFormValue("qty"))
	if err != nil {
		return View{}, sessionproc.ErrBadRequest
	}
	return Add.Call(r.Context(), n, id, AddItem{SKU: r.PostFormValue("tea"), Qty: qty})
}

// empty is a call and not a cast: its answer says that the cart stays empty, whichever
// replica is killed then.
func empty(n *node.Node, id string, r *http.Request) (View, error) {
	view, err := Clear.Call(r.Context(), n, id, sessionproc.None{})
	if errors.Is(err, sessionproc.ErrNotFound) {
		return View{}, nil
	}
	return view, err
}

// answer runs do on the session of the request and has write show the outcome.
func (s *shop) answer(do action, write func(http.ResponseWriter, *http.Request, state)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		id, _ := sessionhttp.ID(r.Context())
		begin := time.Now()
		view, err := do(s.node, id, r)
		took := time.Since(begin)
		if err != nil {
			s.refuse(w, r, id, err)
			return
		}
		place, err := s.node.Where(id)
		if err != nil {
			s.refuse(w, r, id, err)
			return
		}
		st := stateOf(view)
		st.Replicas = s.replicas
		st.Hop = &hop{
			Served:    s.name,
			Owner:     place.Owner.Slot,
			Forwarded: !place.Local,
			Took:      fmt.Sprintf("%.2f\u00a0ms", float64(took.Microseconds())/1000),
			Session:   sessionproc.LogID(id),
			Partition: place.Partition,
			Way:       pair(s.name, place.Owner.Slot),
		}
		w.Header().Set(headerServed, st.Hop.Served)
		w.Header().Set(headerForwarded, strconv.FormatBool(st.Hop.Forwarded))
		write(w, r, st)
	}
}

// refuse logs what the client is not told.
func (s *shop) refuse(w http.ResponseWriter, r *http.Request, id string, err error) {
	level := slog.LevelWarn
	if sessionhttp.Status(err) < 500 || errors.Is(err, context.Canceled) {
		level = slog.LevelDebug
	}
	s.logger.Log(r.Context(), level, "request failed", "path", r.URL.Path, "session", sessionproc.LogID(id), "err", err)
	sessionhttp.WriteError(w, err)
}

// writeChanged answers scripts with the new state, and a form that was sent
// without a script with the way back to the page.
func (s *shop) writeChanged(w http.ResponseWriter, r *http.Request, st state) {
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, r, st)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func writeJSON(w http.ResponseWriter, _ *http.Request, st state) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(st) // fails only when the client has gone
}
