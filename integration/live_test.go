package integration_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// Bulletins are shown on pages that stay open.
var (
	bulletins = sessionproc.KindOf[sessionproc.None]("bulletin")
	pin       = sessionproc.MethodOf[int, sessionproc.None](bulletins, "write")
	pinned    = sessionproc.EventOf[int](bulletins, "written")
	pinsKept  = 1000
)

type bulletin struct{ N int }

func newBulletins() sessionproc.AnyKind {
	k := sessionproc.NewKind(bulletins, func(context.Context, sessionproc.None) (*bulletin, error) {
		return &bulletin{},
			nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, pin, func(b *bulletin, ctx context.Context, n int) (sessionproc.None, error) {
		b.N = n
		return sessionproc.None{}, pinned.Publish(ctx, n)
	})
	sessionproc.HandleEvent(k, pinned, func(b *bulletin) int { return b.N }, sessionproc.EventConfig{Keep: pinsKept})
	return k
}

// replica is a web server in front of one node that streams the bulletin that a
// request names.
func replica(t *testing.T, n *member) (srv *httptest.Server, stop func()) {
	t.Helper()
	stream, err := sessionhttp.Events(n, pinned, sessionhttp.EventsConfig[int]{
		Session:   func(_ http.ResponseWriter, r *http.Request) (string, bool) { return r.FormValue("id"), true },
		Subscribe: sessionproc.SubscribeOptions{Buffer: pinsKept},
	})
	require.NoError(t, err)
	srv = httptest.NewServer(stream)
	stop = func() {
		stream.Close()
		srv.Close()
	}
	t.Cleanup(stop)
	return srv, stop
}

// page is a browser's EventSource. It comes back with the last ID that it has seen.
type page struct {
	t      *testing.T
	id     string // of the session
	last   string // ID of an event
	lines  *bufio.Scanner
	answer *http.Response
}

func (p *page) open(srv *httptest.Server) {
	p.t.Helper()
	p.close()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, srv.URL+"/?id="+p.id, nil)
	require.NoError(p.t, err)
	if p.last != "" {
		r.Header.Set("Last-Event-ID", p.last)
	}
	p.answer, err = srv.Client().Do(r)
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, p.answer.StatusCode)
	p.lines = bufio.NewScanner(p.answer.Body)
}

func (p *page) close() {
	if p.answer != nil {
		p.answer.Body.Close()
	}
}

// next returns the next event, "" at the end of the stream.
func (p *page) next() string {
	var event []string
	for p.lines.Scan() {
		field, value, _ := strings.Cut(p.lines.Text(), ": ")
		switch field {
		case "id":
			p.last = value
		case "event", "data":
			event = append(event, value)
		case "":
			if event != nil {
				return strings.Join(event, " ")
			}
		}
	}
	return ""
}

func (p *page) want(from, to int) {
	p.t.Helper()
	for n := from; n <= to; n++ {
		require.Equal(p.t, fmt.Sprint(n), p.next())
	}
}

// The page loses its connection again and again, comes back at another replica,
// and misses nothing, whether its session moves meanwhile or not.
func TestAcceptance35_PageMissesNothingAtWhateverReplica(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, bulletins.Start(t.Context(), p.from, id, sessionproc.None{}))
		write := func(from, to int) {
			t.Helper()
			for n := from; n <= to; n++ {
				_, err := pin.Call(t.Context(), p.from, id, n)
				require.NoError(t, err)
			}
		}
		first, stopFirst := replica(t, p.all()[0])
		second, _ := replica(t, p.all()[1])
		at := &page{t: t, id: id}
		defer at.close()
		at.open(first)
		at.want(0, 0)
		write(1, 20)
		at.want(1, 20)

		moved := p.beginMove(t)
		write(21, 60) // while it moves
		at.want(21, 40)
		stopFirst()
		for at.next() != "" { // what was on its way
		}
		seen := at.last
		write(61, 80)
		at.open(second)
		var offset int
		_, err := fmt.Sscanf(seen, "%d.", &offset)
		require.NoError(t, err)
		at.want(offset+1, 80)
		moved()
		write(81, 100)
		at.want(81, 100)

		again := &page{t: t, id: id}
		defer again.close()
		again.open(second)
		again.want(100, 100)
		require.NoError(t, p.from.Terminate(t.Context(), id))
		for _, page := range []*page{at, again} {
			require.Equal(t, "ended terminated", page.next())
			require.Empty(t, page.next())
		}
	})
}

func TestAcceptance38_PageComesBackWithItsNewID(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		old := p.id(t)
		require.NoError(t, bulletins.Start(t.Context(), p.from, old, sessionproc.None{}))
		srv, _ := replica(t, p.from)
		at := &page{t: t, id: old}
		defer at.close()
		at.open(srv)
		at.want(0, 0)
		p.move(t)
		id, err := p.from.Renew(t.Context(), old)
		require.NoError(t, err)
		require.Empty(t, at.next(), "the stream ends")
		at.open(srv)
		require.Empty(t, at.next(), "and so does every one of the old ID, until the page has the new one")
		at.id = id
		at.open(srv)
		require.Equal(t, "gap", strings.TrimSpace(at.next()))
		at.want(0, 0)
		_, err = pin.Call(t.Context(), p.from, id, 1)
		require.NoError(t, err)
		at.want(1, 1)
		require.NoError(t, p.from.Terminate(t.Context(), id))
	})
}
