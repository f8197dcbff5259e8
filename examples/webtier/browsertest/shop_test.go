package browsertest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// chromium returns the browser's path. Without one the test is skipped, but never
// in CI.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "no Chromium on this machine; \"apt-get install chromium\" brings one"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// openShop builds and starts an example, with three replicas and what is in front of them, and returns
// the URL. In the end it stops them as Ctrl-C does.
func openShop(t *testing.T, example string) (url string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), example)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "..", example)
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	shop := exec.Command(program, "-addr", "127.0.0.1:0")
	shop.Stderr = t.Output()
	stdout, err := shop.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, shop.Start())
	t.Cleanup(func() {
		require.NoError(t, shop.Process.Signal(syscall.SIGINT))
		require.NoError(t, shop.Wait())
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if _, url, ok := strings.Cut(lines.Text(), "open at "); ok {
			return url
		}
	}
	t.Fatal("the shop named no URL")
	return ""
}

// openBrowser starts a Chromium that knows nothing yet; its profile is new and
// goes with it.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
	)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	return openTab(t, ctx)
}

// openTab opens a tab in the browser of ctx. What its console complains of (a
// script that fails, a style that the page's policy forbids) fails the test.
func openTab(t *testing.T, ctx context.Context, options ...chromedp.ContextOption) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx, options...)
	require.NoError(t, chromedp.Do(ctx))
	var mu sync.Mutex
	var complaints []string // guarded by mu
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError && !cutStream(e.Entry) {
				complaints = append(complaints, e.Entry.Text)
			}
		}
	}))
	t.Cleanup(func() {
		cancel()
		mu.Lock()
		defer mu.Unlock()
		require.Empty(t, complaints)
	})
	return ctx
}

// cutStream reports whether the console tells of an event stream that ended with its replica,
// which was killed. The page goes on at another one.
func cutStream(e *log.Entry) bool {
	return strings.HasSuffix(e.URL, "/cart/changes") && strings.Contains(e.Text, "ERR_INCOMPLETE_CHUNKED_ENCODING")
}

// buyer clicks and reads on one page.
type buyer struct {
	t   *testing.T
	ctx context.Context
}

func (b buyer) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// ask evaluates an expression in the page.
func ask[T any](b buyer, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return v
}

// click presses a button and waits until the page has told what came of it.
func (b buyer) click(button string) {
	b.t.Helper()
	b.run(
		chromedp.Evaluate[chromedp.Void](`document.querySelector("#says").textContent = ""`),
		chromedp.Click(chromedp.CSS(button)),
		// It may take until it is known that a replica was killed. A page that was just loaded may first hear of what
		// it shows already.
		chromedp.Poll[chromedp.Void](`!/^(Changed in another window.*)?$/.test(document.querySelector("#says").textContent)`,
			chromedp.WithPollingTimeout(20*time.Second)),
	)
}

func (b buyer) text(selector string) string {
	b.t.Helper()
	return ask[string](b, `document.querySelector(`+"`"+selector+"`"+`).textContent.trim()`)
}

// cart returns the visible lines of the cart as "Sencha 2 €17.80".
func (b buyer) cart() []string {
	b.t.Helper()
	return ask[[]string](b, `[...document.querySelectorAll(".lines li:not([hidden])")].map((li) =>
		[".what", "output", ".sum"].map((s) => li.querySelector(s).textContent).join(" "))`)
}

// awaitCart waits until the page shows these lines.
func (b buyer) awaitCart(lines ...string) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !slices.Equal(b.cart(), lines); time.Sleep(10 * time.Millisecond) {
		require.True(b.t, time.Now().Before(deadline), "the window does not hear of %v, it shows %v", lines, b.cart())
	}
}

const (
	liveMark    = `document.querySelector(".live").checkVisibility()`
	addSencha   = `.tea-card.sencha button`
	addMatcha   = `.tea-card.matcha button`
	moreSencha  = `[data-line="sencha"] button[value="1"]`
	lessSencha  = `[data-line="sencha"] button[value="-1"]`
	lessMatcha  = `[data-line="matcha"] button[value="-1"]`
	emptyCart   = `.total button`
	restartAll  = `.roll button`
	killReplica = `.kill button`
)
