package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"syscall"
	"time"
)

// newBalancer returns a reverse proxy that hands each request to the next
// replica in turn, whoever asks: it knows nothing of cookies and sessions. A
// replica that is not ready, or has ended, is left out. What is below /tier/ it
// answers itself.
func newBalancer(t *tier, roll *roll, kill *kill, transport *http.Transport, logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/tier/restart", http.NewCrossOriginProtection().Handler(roll))
	mux.Handle("/tier/kill", http.NewCrossOriginProtection().Handler(kill))
	mux.HandleFunc("GET /tier/targets", t.serveTargets)
	mux.Handle("/replica/", http.NotFoundHandler()) // what replicas say of themselves is for the stage alone
	mux.Handle("/", http.MaxBytesHandler(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Host = r.In.Host // the check of origins compares it
			r.SetXForwarded()
		},
		Transport: &inTurn{tier: t, transport: transport},
		ErrorLog:  slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // streams of killed replicas
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if _, large := errors.AsType[*http.MaxBytesError](err); large {
				http.Error(w, http.StatusText(http.StatusRequestEntityTooLarge), http.StatusRequestEntityTooLarge)
				return
			}
			if !errors.Is(err, context.Canceled) { // the browser went away
				logger.Warn("no answer from a replica", "path", r.URL.Path, "err", err)
			}
			http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
		},
	}, maxBody))
	return mux
}

// maxBody bounds a request, which is kept until it is answered.
const maxBody = 64 << 10

// inTurn sends each request to the next replica, and to one more if that one ends
// before it has answered. Each POST has a key, so that a cart changes once, whether
// or not the first replica has passed it on.
type inTurn struct {
	tier      *tier
	turn      atomic.Uint64
	transport http.RoundTripper
}

func (i *inTurn) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(cmp.Or[io.Reader](r.Body, http.NoBody))
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.URL.Scheme = "http"
	if r.Method == http.MethodPost && r.Header.Get(headerKey) == "" {
		out.Header.Set(headerKey, rand.Text())
	}
	replicas := i.tier.all()
	for tries := 1; ; tries++ {
		out.URL.Host = pick(replicas, &i.turn).at.HTTP
		out.Body = http.NoBody
		if len(body) > 0 {
			out.Body = io.NopCloser(bytes.NewReader(body))
		}
		answer, err := i.transport.RoundTrip(out)
		if err == nil || r.Context().Err() != nil || tries > len(replicas) {
			return answer, err
		}
	}
}

const headerKey = "Idempotency-Key"

// pick returns the next replica that is ready, or any if none is.
func pick(replicas []*replica, turn *atomic.Uint64) *replica {
	var r *replica
	for range replicas {
		r = replicas[(turn.Add(1)-1)%uint64(len(replicas))]
		if r.alive() && !r.leaving.Load() {
			break
		}
	}
	return r
}

// balancer is the running web server in front of the replicas.
type balancer struct {
	URL       string
	srv       *http.Server
	transport *http.Transport // to the replicas
	failed    chan error      // gets one error if the server stops by itself
}

// startBalancer serves on addr, or on any port of the same host if that one is
// taken.
func startBalancer(addr string, t *tier, roll *roll, kill *kill, logger *slog.Logger) (*balancer, error) {
	ln, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, splitErr := net.SplitHostPort(addr)
		if splitErr != nil {
			return nil, err
		}
		logger.Warn("address is taken, using another port", "addr", addr)
		ln, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // replicas are on loopback
	transport.MaxIdleConnsPerHost = 64
	transport.DisableCompression = true // bodies pass as they are
	b := &balancer{
		URL:       "http://" + ln.Addr().String() + "/",
		transport: transport,
		srv: &http.Server{
			Handler:           newBalancer(t, roll, kill, transport, logger),
			ReadHeaderTimeout: 5 * time.Second,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		},
		failed: make(chan error, 1),
	}
	go func() { // ended by close
		if err := b.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			b.failed <- err
		}
	}()
	return b, nil
}

// close takes no more requests and waits a while for those that are under way.
func (b *balancer) close() error {
	defer b.transport.CloseIdleConnections()
	return shut(b.srv)
}

// shut ends a web server: it answers what has begun, and after stopTime cuts what
// is left, such as connections that a browser opened ahead and never used.
func shut(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if srv.Shutdown(ctx) == nil {
		return nil
	}
	return srv.Close()
}
