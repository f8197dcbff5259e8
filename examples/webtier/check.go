package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// inFlight is how many requests of all browsers are under way at a time. More
// would measure only how long they wait for a processor: browsers, balancer and
// replicas share one machine.
const inFlight = 8

// check drives the shop like a crowd of browsers: each with its own cookies,
// clicking one thing after another, and all at once.
type check struct {
	url     string
	clicks  int // of each browser; 0: until over is closed
	over    chan struct{}
	slots   chan struct{} // one for each request that may be under way
	started time.Time

	mu        sync.Mutex // guards what follows
	took      []time.Duration
	forwarded int
	served    map[string]int // requests by replica
	owners    map[string]int // carts by the node that they live on
	wrong     int            // carts
	failed    int            // requests
	firstFail error
}

// pace is how often a browser clicks while replicas restart: nobody does so as
// fast as possible, and a machine without a free processor shows nothing.
const pace = 250 * time.Millisecond

// runCheck drives the shop, and once more while the replicas are restarted one
// after another. It prints a table of what it saw each time, and returns an error
// unless every request was answered and every cart held what its browser had
// clicked.
func runCheck(ctx context.Context, url string, browsers, clicks int, restart func(context.Context) error,
	w io.Writer) error {
	fmt.Fprintf(w, "%d browsers × %d clicks through a balancer without stickiness, %d replicas\n\n", browsers, clicks,
		len(names))
	c := newCheck(url, clicks)
	if err := c.run(ctx, browsers, w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d browsers click on while each replica is restarted\n\n", browsers)
	c = newCheck(url, 0)
	restarted := make(chan error, 1)
	go func() {
		restarted <- restart(ctx)
		close(c.over)
	}()
	err := c.run(ctx, browsers, w)
	return errors.Join(<-restarted, err)
}

func newCheck(url string, clicks int) *check {
	return &check{
		url: url, clicks: clicks, over: make(chan struct{}), slots: make(chan struct{}, inFlight), started: time.Now(),
		served: map[string]int{}, owners: map[string]int{},
	}
}

func (c *check) run(ctx context.Context, browsers int, w io.Writer) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = inFlight
	defer transport.CloseIdleConnections()
	progress, wait := c.progress(browsers * (c.clicks + 1))
	var all sync.WaitGroup
	for i := range browsers {
		all.Go(func() { c.browse(ctx, transport, uint64(i)) })
	}
	all.Wait()
	close(progress)
	wait()
	if ctx.Err() != nil {
		return errors.New("check: interrupted")
	}
	c.print(w)
	return c.verdict(w)
}

// more reports whether a browser that has clicked n times clicks again; it waits
// until it is time to.
func (c *check) more(dice *rand.Rand, n int) bool {
	if c.clicks > 0 {
		return n < c.clicks
	}
	select {
	case <-c.over:
		return false
	case <-time.After(time.Duration(dice.Int64N(int64(2 * pace)))):
		return true
	}
}

// browse is one browser: clicks at random, keeping count of what the cart must
// hold, and a look at the cart in the end.
func (c *check) browse(ctx context.Context, transport http.RoundTripper, seed uint64) {
	jar, _ := cookiejar.New(nil) // fails never
	browser := &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second}
	dice := rand.New(rand.NewPCG(seed, 1))
	want := map[string]int{}
	wrong := false
	for n := 0; c.more(dice, n) && ctx.Err() == nil; n++ {
		path, form := click(dice, want)
		st, err := c.request(ctx, browser, path, form)
		wrong = wrong || err != nil || !st.holds(want)
	}
	st, err := c.request(ctx, browser, "cart", nil)
	wrong = wrong || err != nil || !st.holds(want)

	c.mu.Lock()
	defer c.mu.Unlock()
	if wrong {
		c.wrong++
	}
	if err == nil {
		c.owners[st.Hop.Owner]++
	}
}

// click chooses what to do next and does the same to want.
func click(dice *rand.Rand, want map[string]int) (path string, form url.Values) {
	if dice.IntN(20) == 0 {
		clear(want)
		return "cart/clear", url.Values{}
	}
	sku := teas[dice.IntN(len(teas))].SKU
	qty := 1 + dice.IntN(3)
	if want[sku] > 0 && dice.IntN(3) == 0 {
		qty = -1
	}
	if want[sku] += qty; want[sku] == 0 {
		delete(want, sku)
	}
	return "cart/add", url.Values{"tea": {sku}, "qty": {strconv.Itoa(qty)}}
}

// holds reports whether the cart holds exactly want.
func (s state) holds(want map[string]int) bool {
	got := map[string]int{}
	for _, l := range s.Lines {
		if l.Qty != 0 {
			got[l.SKU] = l.Qty
		}
	}
	return maps.Equal(got, want)
}

// request sends one click, a POST if there is a form, and counts it.
func (c *check) request(ctx context.Context, browser *http.Client, path string, form url.Values) (state, error) {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	begin := time.Now()
	st, header, err := fetch(ctx, browser, c.url+path, form)
	took := time.Since(begin)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, took)
	if err != nil {
		c.failed++
		if c.firstFail == nil {
			c.firstFail = err
		}
		return state{}, err
	}
	c.served[header.Get(headerServed)]++
	if header.Get(headerForwarded) == "true" {
		c.forwarded++
	}
	return st, nil
}

func fetch(ctx context.Context, browser *http.Client, url string, form url.Values) (st state, h http.Header,
	err error) {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return state{}, nil, err
	}
	r.Header.Set("Accept", "application/json")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := browser.Do(r)
	if err != nil {
		return state{}, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		io.Copy(io.Discard, resp.Body)
		return state{}, nil, fmt.Errorf("%s %s: %s", method, r.URL.Path, resp.Status)
	}
	return st, resp.Header, json.NewDecoder(resp.Body).Decode(&st)
}

// progress keeps a line on a terminal up to date until the channel is closed;
// wait returns when the line is gone.
func (c *check) progress(total int) (done chan struct{}, wait func()) {
	done = make(chan struct{})
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return done, func() {}
	}
	var line sync.WaitGroup
	line.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.mu.Lock()
				n := len(c.took)
				c.mu.Unlock()
				if c.clicks > 0 {
					fmt.Fprintf(os.Stderr, "\r%d of %d requests", n, total)
				} else {
					fmt.Fprintf(os.Stderr, "\r%d requests", n)
				}
			case <-done:
				fmt.Fprint(os.Stderr, "\r\x1b[K")
				return
			}
		}
	})
	return done, line.Wait
}

func (c *check) print(w io.Writer) {
	total := len(c.took)
	slices.Sort(c.took)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "  %s\t"+format+"\n", append([]any{name}, args...)...)
	}
	elapsed := time.Since(c.started)
	row("requests", "%d in %.1f s, %d at a time", total, elapsed.Seconds(), inFlight)
	row("forwarded", "%d (%.1f %%)", c.forwarded, 100*c.share())
	row("p50", "%.2f ms", milliseconds(c.took[total/2]))
	row("p99", "%.2f ms", milliseconds(c.took[total*99/100]))
	row("slowest", "%.2f ms", milliseconds(c.took[total-1]))
	row("served by", "%s", counts(c.served))
	row("carts on", "%s", counts(c.owners))
	row("wrong carts", "%d", c.wrong)
	row("failed requests", "%d", c.failed)
	table.Flush()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// share is the part of the answered requests that another node's session
// answered.
func (c *check) share() float64 {
	return float64(c.forwarded) / float64(max(1, len(c.took)-c.failed))
}

func counts(by map[string]int) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(&b, "%s %d   ", name, by[name])
	}
	return strings.TrimSpace(b.String())
}

// verdict is nil if all that was promised held.
func (c *check) verdict(w io.Writer) error {
	switch {
	case c.failed > 0:
		return fmt.Errorf("check: %d requests failed, the first with: %w", c.failed, c.firstFail)
	case c.wrong > 0:
		return fmt.Errorf("check: %d carts do not hold what was clicked", c.wrong)
	case len(c.served) != len(names):
		return fmt.Errorf("check: only %d of %d replicas served requests", len(c.served), len(names))
	case c.forwarded == 0:
		return errors.New("check: no request was forwarded, so no session was shared")
	}
	fmt.Fprintln(w, "\nEvery cart holds what was clicked.")
	return nil
}
