package sessionhttp_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

var (
	Meters  = sessionproc.KindOf[sessionproc.None]("meter")
	Step    = sessionproc.MethodOf[sessionproc.None, Reading](Meters, "step")
	Stepped = sessionproc.EventOf[Reading](Meters, "stepped")
)

// Reading is what a live page shows. The browser gets it as JSON.
type Reading struct{ Steps int }

// Meter is the state.
type Meter struct{ Steps int }

func (m *Meter) step(ctx context.Context, _ sessionproc.None) (Reading, error) {
	m.Steps++
	return m.reading(), Stepped.Publish(ctx, m.reading())
}

func (m *Meter) reading() Reading { return Reading(*m) }

func newMeters() sessionproc.AnyKind {
	k := sessionproc.NewKind(Meters, func(context.Context, sessionproc.None) (*Meter, error) { return &Meter{}, nil },
		sessionproc.KindConfig{StartOnCall: true})
	sessionproc.HandleCall(k, Step, (*Meter).step)
	sessionproc.HandleEvent(k, Stepped, (*Meter).reading)
	return k
}

// nextData is what the browser's onmessage gets next.
func nextData(events *bufio.Scanner) string {
	for events.Scan() {
		if data, ok := strings.CutPrefix(events.Text(), "data:"); ok {
			return strings.TrimSpace(data)
		}
	}
	return "the stream has ended"
}

// A live page: the browser opens an EventSource on /events, and every window of it shows
// the changes of its session.
func ExampleEvents() {
	n, err := node.Start(context.Background(), node.Config{Kinds: []sessionproc.AnyKind{newMeters()}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	web, err := sessionhttp.New(sessionhttp.Config{
		Keys:     [][]byte{bytes.Repeat([]byte("k1"), 16)},
		Insecure: true, // this server has no TLS
	})
	if err != nil {
		log.Fatal(err)
	}
	changes, err := sessionhttp.Events(n, Stepped, sessionhttp.EventsConfig[Reading]{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /events", changes)
	mux.HandleFunc("POST /step", func(w http.ResponseWriter, r *http.Request) {
		id, _ := sessionhttp.ID(r.Context())
		if _, err := Step.Call(r.Context(), n, id, sessionproc.None{}); err != nil {
			sessionhttp.WriteError(w, err)
		}
	})
	srv := httptest.NewServer(web.Middleware(mux))
	defer srv.Close()
	defer changes.Close() // of a http.Server of your own: srv.RegisterOnShutdown(changes.Close)

	// What follows is the browser.
	jar, err := cookiejar.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	step := func() {
		res, err := browser.Post(srv.URL+"/step", "", nil)
		if err != nil {
			log.Fatal(err)
		}
		res.Body.Close()
	}
	step() // starts the session
	stream, err := browser.Get(srv.URL + "/events")
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Body.Close()
	events := bufio.NewScanner(stream.Body)
	fmt.Println(nextData(events))
	step()
	fmt.Println(nextData(events))
	// Output:
	// {"Steps":1}
	// {"Steps":2}
}
