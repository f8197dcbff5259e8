//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program is this program, built once for all tests.
var program string

// The tests that want their ports back run one by one; in parallel, another shop
// might take one.
func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "webtier")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "webtier")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func TestReplicasRestartOneAfterAnother(t *testing.T) {
	t.Parallel()
	s := open(t, "127.0.0.1:0")
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	for sku, qty := range map[string]int{"oolong": 2, "chai": 1} {
		_, _, err := fetch(t.Context(), browser, s.url+"cart/add", url.Values{"tea": {sku}, "qty": {fmt.Sprint(qty)}})
		require.NoError(t, err)
	}
	ask := func(method string) (state struct {
		Rolling bool
		Percent int
		Done    int
	}) {
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+"tier/restart", nil)
		require.NoError(t, err)
		r.Header.Set("Accept", "application/json")
		resp, err := browser.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&state))
		return state
	}
	require.False(t, ask(http.MethodGet).Rolling)
	require.True(t, ask(http.MethodPost).Rolling)
	require.True(t, ask(http.MethodPost).Rolling, "another one changes nothing")
	require.Eventually(t, func() bool {
		st, _, err := fetch(t.Context(), browser, s.url+"cart", nil)
		return err == nil && st.holds(map[string]int{"oolong": 2, "chai": 1}) && ask(http.MethodGet).Done == 1
	}, 30*time.Second, 20*time.Millisecond)
	st, _, err := fetch(t.Context(), browser, s.url+"cart", nil)
	require.NoError(t, err)
	require.True(t, st.holds(map[string]int{"oolong": 2, "chai": 1}))
	for _, pid := range s.pids {
		require.False(t, alive(pid), "each is another process now")
	}
	s.end(t, syscall.SIGINT)
	s.requireNoError(t)
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"surplus"}} {
		cmd := exec.CommandContext(t.Context(), program, args...)
		out, _ := cmd.CombinedOutput()
		require.Equal(t, 2, cmd.ProcessState.ExitCode(), "%v\n%s", args, out)
		require.Contains(t, string(out), "-addr", "the usage")
	}
}

// running is a shop that is open, in a process of its own.
type running struct {
	cmd    *exec.Cmd
	url    string
	pids   []int
	addrs  []string // of web servers, nodes and balancer
	stderr string   // file with what they all complained of
}

func open(t *testing.T, addr string) *running {
	t.Helper()
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer stderr.Close()
	s := &running{cmd: exec.Command(program, "-addr", addr), stderr: stderr.Name()}
	s.cmd.Stderr = stderr // not a pipe: Wait waits for the parent alone
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { s.cmd.Process.Kill() })
	lines := bufio.NewScanner(stdout)
	for s.url == "" {
		require.True(t, lines.Scan(), "the shop named no URL: %s", s.complaints(t))
		var name, web, node string
		var pid int
		if n, _ := fmt.Sscan(lines.Text(), &name, &pid, &web, &node); n == 4 {
			s.pids, s.addrs = append(s.pids, pid), append(s.addrs, web, node)
		}
		_, s.url, _ = strings.Cut(lines.Text(), "open at ")
	}
	require.Len(t, s.pids, 3)
	for _, pid := range s.pids {
		require.True(t, alive(pid))
	}
	u, err := url.Parse(s.url)
	require.NoError(t, err)
	s.addrs = append(s.addrs, u.Host)
	return s
}

// alive reports whether a process runs; one that nobody has reaped yet does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err) || !onLinux
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(state, []byte("Z"))
}

var onLinux = func() bool { _, err := os.Stat("/proc/self/stat"); return err == nil }()

func (s *running) complaints(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.stderr)
	require.NoError(t, err)
	return string(text)
}

// requireNoError wants nothing in the log but warnings: where the machine is busy members suspect
// one another.
func (s *running) requireNoError(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(s.complaints(t)) {
		require.Contains(t, line, "level=WARN")
	}
}

// end sends a signal on which the shop closes in good order.
func (s *running) end(t *testing.T, signal os.Signal) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(signal))
	require.NoError(t, s.cmd.Wait(), "exit 0: %s", s.complaints(t))
	for _, pid := range s.pids {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "replicas are reaped before the parent ends")
	}
}

// requireGone wants every process of the shop ended and every port free.
func (s *running) requireGone(t *testing.T) {
	t.Helper()
	for _, pid := range s.pids {
		require.Eventually(t, func() bool { return !alive(pid) }, 30*time.Second, 10*time.Millisecond,
			"replica %d is left over", pid)
	}
	for _, addr := range s.addrs {
		require.Eventually(t, func() bool { return free(addr) }, 30*time.Second, 10*time.Millisecond, "%s is not free", addr)
	}
}

// free reports whether addr can be listened at. A process that was killed shows
// as ended a moment before the last of its threads gives back its sockets.
func free(addr string) bool {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	return ln.Close() == nil
}

func TestInterruptEndsEverything(t *testing.T) {
	s := open(t, "127.0.0.1:0")
	resp, err := http.Get(s.url)
	require.NoError(t, err)
	resp.Body.Close()
	s.end(t, syscall.SIGINT)
	s.requireNoError(t)
	s.requireGone(t)
}

func TestInterruptWhileItStartsEndsEverything(t *testing.T) {
	for _, after := range []time.Duration{30 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
		400 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(program, "-addr", "127.0.0.1:0")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr // a pipe that the replicas hold, too: Wait returns when all are gone
			require.NoError(t, cmd.Start())
			time.Sleep(after)
			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
			err := cmd.Wait()
			if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
				require.Equal(t, syscall.SIGINT, status.Signal(), "it came before there was anything to close")
				return
			}
			require.NoError(t, err, "%s", &stderr)
		})
	}
}

func TestKilledParentLeavesNoReplica(t *testing.T) {
	s := open(t, "127.0.0.1:0")
	require.NoError(t, s.cmd.Process.Kill())
	require.Error(t, s.cmd.Wait())
	s.requireGone(t)
}

func TestShopGoesOnWithoutOneReplica(t *testing.T) {
	t.Parallel()
	s := open(t, "127.0.0.1:0")
	require.NoError(t, syscall.Kill(s.pids[1], syscall.SIGKILL))
	require.Eventually(t, func() bool {
		for range 6 {
			resp, err := http.Get(s.url)
			if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
				return false
			}
		}
		return true
	}, 30*time.Second, 50*time.Millisecond)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, s.cmd.Wait(), "it says that not all went well")
	require.Contains(t, s.complaints(t), "replica B")
}

func TestTakenAddressIsReplacedByAFreeOne(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	s := open(t, ln.Addr().String())
	require.NotContains(t, s.url, ln.Addr().String())
	resp, err := http.Get(s.url)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	s.end(t, syscall.SIGTERM)
	require.Contains(t, s.complaints(t), "is taken")
}

func TestRequestsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t, "127.0.0.1:0")
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	post := func(path, form, key, value string) int {
		r, err := http.NewRequest(http.MethodPost, s.url+path, strings.NewReader(form))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "application/json")
		r.Header.Set(key, value)
		resp, err := browser.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	const one = "tea=oolong&qty=1"
	require.Equal(t, http.StatusForbidden, post("cart/add", one, "Sec-Fetch-Site", "cross-site"))
	require.Equal(t, http.StatusForbidden, post("cart/add", one, "Origin", "http://elsewhere.example"))
	require.Equal(t, http.StatusOK, post("cart/add", one, "Sec-Fetch-Site", "same-origin"))
	require.Equal(t, http.StatusOK, post("cart/add", one, "Origin", strings.TrimSuffix(s.url, "/")),
		"the balancer keeps the Host")

	require.Equal(t, http.StatusForbidden, post("tier/kill", "replica=A", "Sec-Fetch-Site", "cross-site"))
	require.Equal(t, http.StatusRequestEntityTooLarge, post("cart/add", strings.Repeat("x", maxBody+1), "X", "y"))
	require.Equal(t, http.StatusUnprocessableEntity, post("cart/add", "tea=coffee&qty=1", "X", "y"))
	require.Equal(t, http.StatusUnprocessableEntity, post("cart/add", "tea=oolong&qty=99", "X", "y"))
	require.Equal(t, http.StatusBadRequest, post("cart/add", "tea=oolong&qty=many", "X", "y"))
	require.Equal(t, http.StatusBadRequest, post("cart/add", strings.Repeat("x", 5000), "X", "y"))
	s.end(t, syscall.SIGINT)
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
