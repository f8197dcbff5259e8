//go:build unix

package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
)

// openTier starts the example webtier, a shop on three replicas behind a balancer without
// stickiness, and returns its address. The shop closes with the test, and logs no error.
func openTier(t *testing.T) (url string) {
	program := filepath.Join(t.TempDir(), "webtier")
	out, err := exec.Command("go", "build", "-o", program, "../examples/webtier").CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := exec.Command(program, "-addr", "127.0.0.1:0")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(os.Interrupt))
		assert.NoError(t, cmd.Wait())
		for line := range strings.Lines(complaints.String()) {
			assert.Contains(t, line, "level=WARN", "on a busy machine members suspect one another; nothing else goes wrong")
		}
	})
	for lines := bufio.NewScanner(stdout); url == ""; {
		require.True(t, lines.Scan(), "the shop has an address")
		_, url, _ = strings.Cut(lines.Text(), "open at ")
	}
	return url
}

// crowdOfBrowsers clicks through a shop, each browser with its own cookies, one thing after
// another, and all at once.
type crowdOfBrowsers struct {
	url   string
	slots chan struct{} // one for each request that may be under way

	mu        sync.Mutex     // guards what follows
	served    map[string]int // requests by replica
	forwarded int
	faults    []error
}

func newCrowdOfBrowsers(url string) *crowdOfBrowsers {
	return &crowdOfBrowsers{url: url, slots: make(chan struct{}, 8), served: map[string]int{}}
}

// browseOn has so many browsers click, each after a pause of half a second at most, until stop is called.
func (c *crowdOfBrowsers) browseOn(ctx context.Context, browsers int) (stop func()) {
	over, all := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(all)
		c.browse(ctx, browsers, func(dice *rand.Rand, _ int) bool {
			select {
			case <-over:
				return false
			case <-time.After(time.Duration(dice.Int64N(int64(500 * time.Millisecond)))):
				return true
			}
		})
	}()
	return func() {
		close(over)
		<-all
	}
}

// browse has so many browsers click for as long as more says so.
func (c *crowdOfBrowsers) browse(ctx context.Context, browsers int, more func(dice *rand.Rand, clicks int) bool) {
	transport := &http.Transport{MaxIdleConnsPerHost: cap(c.slots)}
	defer transport.CloseIdleConnections()
	var all sync.WaitGroup
	for i := range browsers {
		jar, _ := cookiejar.New(nil) // fails never
		browser := &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second}
		dice := rand.New(rand.NewPCG(uint64(i), 1))
		all.Go(func() {
			want := map[string]int{}
			for n := 0; more(dice, n); n++ {
				path, form := click(dice, want)
				c.request(ctx, browser, path, form, want)
			}
			c.request(ctx, browser, "cart", nil, want)
		})
	}
	all.Wait()
}

var teas = []string{"sencha", "earl-grey", "matcha", "oolong", "chai", "chamomile"}

// click chooses what to do next and does the same to want.
func click(dice *rand.Rand, want map[string]int) (path string, form url.Values) {
	if dice.IntN(20) == 0 {
		clear(want)
		return "cart/clear", url.Values{}
	}
	sku, qty := teas[dice.IntN(len(teas))], 1+dice.IntN(3)
	if want[sku] > 0 && dice.IntN(3) == 0 {
		qty = -1
	}
	if want[sku] += qty; want[sku] == 0 {
		delete(want, sku)
	}
	return "cart/add", url.Values{"tea": {sku}, "qty": {strconv.Itoa(qty)}}
}

// request sends one click, a POST if there is a form, and notes what is wrong with the answer.
func (c *crowdOfBrowsers) request(ctx context.Context, browser *http.Client, path string, form url.Values,
	want map[string]int) {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	got, header, err := fetchCart(ctx, browser, c.url+path, form)
	if err == nil && !maps.Equal(got, want) {
		err = fmt.Errorf("%s: the cart has %v and not %v", path, got, want)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.faults = append(c.faults, err)
		return
	}
	c.served[header.Get("X-Sessionproc-Served")]++
	if header.Get("X-Sessionproc-Forwarded") == "true" {
		c.forwarded++
	}
}

func fetchCart(ctx context.Context, browser *http.Client, url string, form url.Values) (map[string]int, http.Header,
	error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/json")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := browser.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s %s: %s", method, r.URL.Path, resp.Status)
	}
	var cart struct {
		Lines []struct {
			SKU string
			Qty int
		}
	}
	err = json.NewDecoder(resp.Body).Decode(&cart)
	got := map[string]int{}
	for _, l := range cart.Lines {
		if l.Qty != 0 {
			got[l.SKU] = l.Qty
		}
	}
	return got, resp.Header, err
}

// Browsers of a web tier find in their carts what they have put there, whichever replica
// answers, and while each replica is restarted.
func TestCartsKeepEveryClickWhileReplicasRestart(t *testing.T) {
	url := openTier(t)
	c := newCrowdOfBrowsers(url)
	c.browse(t.Context(), 30, func(_ *rand.Rand, clicks int) bool { return clicks < 10 })
	require.Empty(t, c.faults)
	require.Equal(t, map[string]int{"A": 110, "B": 110, "C": 110}, c.served)
	require.InDelta(t, 2./3, float64(c.forwarded)/330, 0.15, "the share that another node than the session's got")

	rolling := func(method string) (state struct {
		Rolling bool
		Done    int
	}) {
		r, err := http.NewRequestWithContext(t.Context(), method, url+"tier/restart", nil)
		require.NoError(t, err)
		r.Header.Set("Accept", "application/json")
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&state))
		return state
	}
	c = newCrowdOfBrowsers(url)
	stop := c.browseOn(t.Context(), 30)
	require.True(t, rolling(http.MethodPost).Rolling)
	for rolling(http.MethodGet).Done == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	require.Empty(t, c.faults)
	require.Len(t, c.served, 3)
	require.Positive(t, c.forwarded)
	http.DefaultClient.CloseIdleConnections()
}

// Browsers of a web tier whose replicas are killed, one after another and each while clicks are on their way,
// lose no click and no cart: all that was answered is there, and each click that was not has an answer soon.
func TestCartsSurviveTheKillOfEachReplica(t *testing.T) {
	shorttest.Skip(t)
	url := openTier(t)
	c := newCrowdOfBrowsers(url)
	stop := c.browseOn(t.Context(), 30)
	carts, survived := 0, assert.New(t)
	for _, replica := range []string{"A", "B", "C", "B"} {
		begun := askKill(t, url, replica)
		survived.True(begun.Killing, "%+v", begun)
		survived.Equal(replica, begun.Replica)
		end := begun
		for end.Killing {
			time.Sleep(20 * time.Millisecond)
			end = askKill(t, url, "")
		}
		t.Log(end.Says)
		survived.Zero(end.Lost, end.Says)
		survived.Contains(end.Says, replica+" is back.")
		carts += end.Carts
	}
	stop()
	require.Empty(t, c.faults)
	require.GreaterOrEqual(t, carts, 10, "carts of replicas that were killed")
	require.Len(t, c.served, 3)
	http.DefaultClient.CloseIdleConnections()
}

// killed is how far the kill of a replica has come.
type killed struct {
	Killing     bool
	Replica     string
	Carts, Lost int
	Says        string
}

// askKill begins to kill a replica, or asks how far that has come if there is no name.
func askKill(t *testing.T, shop, replica string) (state killed) {
	method, form := http.MethodGet, ""
	if replica != "" {
		method, form = http.MethodPost, url.Values{"replica": {replica}}.Encode()
	}
	r, err := http.NewRequestWithContext(t.Context(), method, shop+"tier/kill", strings.NewReader(form))
	require.NoError(t, err)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&state))
	return state
}
