package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

func TestShopWorksInABrowser(t *testing.T) {
	browser, url := openBrowser(t), openShop(t, "webtier")
	for name, test := range map[string]func(t *testing.T, browser context.Context, url string){
		"cart follows its browser over all replicas": cartFollows,
		"works without script":                       worksWithoutScript,
		"carts stay while the replicas restart":      cartsStay,
		"windows see each other's changes":           windowsAreLive,
		"carts survive the kill of their replica":    cartsSurvive,
	} {
		t.Run(name, func(t *testing.T) { test(t, browser, url) })
	}
}

func cartFollows(t *testing.T, browser context.Context, url string) {
	ann := buyer{t, openTab(t, browser, chromedp.WithNewBrowserContext())}
	ann.run(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(url))
	require.Empty(t, ann.cart())
	require.Equal(t, "0", ann.text(".bar .full b"))

	served, owners := map[string]bool{}, map[string]bool{}
	for _, button := range []string{addSencha, addMatcha, moreSencha, addMatcha, lessMatcha, moreSencha} {
		ann.click(button)
		served[ann.text("#way-now [data-text=served]")] = true
		owners[ann.text("#way-now [data-text=owner]")] = true
	}
	require.Equal(t, []string{"Sencha 3 €26.70", "Matcha 1 €19.50"}, ann.cart())
	require.Equal(t, "€46.20", ann.text(".total b"))
	require.Equal(t, "4", ann.text(".bar .full b"))
	require.Len(t, served, 3, "each replica has served a click")
	require.Len(t, owners, 1, "and the cart has stayed where it is")
	requireWayIsDrawn(ann)
	require.Equal(t, 7, ask[int](ann, `document.querySelectorAll(".trail tbody tr").length`), "the page and six clicks")
	takePictures(ann)

	ann.run(chromedp.Reload())
	require.Equal(t, []string{"Sencha 3 €26.70", "Matcha 1 €19.50"}, ann.cart(), "a reload keeps the cart")
	requireWayIsDrawn(ann)

	bob := buyer{t, openTab(t, browser, chromedp.WithNewBrowserContext())}
	bob.run(chromedp.Navigate(url))
	require.Empty(t, bob.cart(), "another browser has another cart")
	bob.click(addMatcha)
	require.Equal(t, []string{"Matcha 1 €19.50"}, bob.cart())

	ann.click(emptyCart)
	require.Empty(t, ann.cart())
	require.Equal(t, "cart-title", ask[string](ann, `document.activeElement.id`), "the focus is not lost with the button")
	ann.run(chromedp.Reload())
	require.Empty(t, ann.cart())
	bob.run(chromedp.Reload())
	require.Equal(t, []string{"Matcha 1 €19.50"}, bob.cart(), "and his is untouched")
}

// requireWayIsDrawn compares the picture with the sentence below it.
func requireWayIsDrawn(b buyer) {
	b.t.Helper()
	served, owner := b.text("#way-now [data-text=served]"), b.text("#way-now [data-text=owner]")
	marked := func(selector, key string) []string {
		return ask[[]string](b, `[...document.querySelectorAll("`+selector+`")].map((e) => e.dataset.`+key+`)`)
	}
	require.Equal(b.t, []string{served}, marked("[data-node].served", "node"))
	require.Equal(b.t, []string{owner}, marked("[data-node].owner", "node"))
	require.Equal(b.t, []string{served}, marked("[data-wire].on", "wire"))
	way, how := []string{min(served, owner) + "-" + max(served, owner)}, "forwarded"
	if served == owner {
		way, how = []string{}, "local"
	}
	require.Equal(b.t, way, marked("[data-way].on", "way"))
	require.Equal(b.t, how, b.text("#way-now [data-text=how]"))
}

// cartsStay presses the button and clicks on until every replica has restarted.
func cartsStay(t *testing.T, browser context.Context, url string) {
	b := buyer{t, openTab(t, browser, chromedp.WithNewBrowserContext())}
	b.run(chromedp.Navigate(url))
	b.click(addSencha)
	b.run(chromedp.Click(chromedp.CSS(restartAll)),
		chromedp.Poll[chromedp.Void](`document.querySelector(".roll progress").value > 0`,
			chromedp.WithPollingTimeout(10*time.Second)))
	clicks, percents := 0, map[float64]bool{}
	for ask[bool](b, `document.querySelector("`+restartAll+`").disabled`) {
		b.click([]string{moreSencha, addMatcha, lessSencha, lessMatcha}[clicks%4]) // a cart holds no hundred of one tea
		clicks++
		percents[ask[float64](b, `document.querySelector(".roll progress").value`)] = true
	}
	require.Equal(t, "All replicas were restarted; the carts have stayed.", b.text("#roll-says"))
	require.Greater(t, len(percents), 3, "the bar moves")
	for ; clicks%4 != 2; clicks++ {
		b.click([]string{moreSencha, addMatcha, lessSencha, lessMatcha}[clicks%4])
	}
	require.Equal(t, []string{"Sencha 2 €17.80", "Matcha 1 €19.50"}, b.cart())
	require.Equal(t, "", b.text("#alert"), "no click has failed")
	require.False(t, ask[bool](b, `document.querySelector(".roll progress").checkVisibility()`))
}

// cartsSurvive kills the replica that has the cart, twice, and clicks on until it is back.
func cartsSurvive(t *testing.T, browser context.Context, url string) {
	b := buyer{t, openTab(t, browser, chromedp.WithNewBrowserContext())}
	b.run(chromedp.Navigate(url))
	b.click(addSencha)
	b.click(addMatcha)
	sencha := 1
	for range 2 {
		victim := b.text("#way-now [data-text=owner]")
		others := "[" + strings.ReplaceAll("ABC", victim, "") + "]"
		b.run(chromedp.Click(chromedp.CSS(killReplica)),
			chromedp.Poll[chromedp.Void](`document.querySelector("#kill-says").textContent.includes("was killed")`,
				chromedp.WithPollingTimeout(20*time.Second)))
		b.run(chromedp.Reload()) // its replica is dead, and the others hardly know yet
		require.Equal(t, []string{lineOf("Sencha", sencha, 890), "Matcha 1 €19.50"}, b.cart())
		for sencha < 90 { // a cart holds no hundred of one tea
			over := !ask[bool](b, `document.querySelector("`+killReplica+`").disabled`)
			b.click(moreSencha)
			sencha++
			require.Equal(t, []string{lineOf("Sencha", sencha, 890), "Matcha 1 €19.50"}, b.cart())
			if over {
				break
			}
			time.Sleep(200 * time.Millisecond)
		}
		require.Regexp(t, "^"+victim+` was killed; its (cart|\d+ carts) went on at `+others+`( and `+others+`)? `+
			`after \d+\.\d s; none was lost\. `+victim+` is back\.$`, b.text("#kill-says"))
		require.Equal(t, "", b.text("#alert"), "no click has failed")
	}
	b.run(chromedp.Reload())
	require.Equal(t, []string{lineOf("Sencha", sencha, 890), "Matcha 1 €19.50"}, b.cart())
	b.click(emptyCart)
	require.Empty(t, b.cart())
}

// lineOf is a line of a cart as buyer.cart returns it; price is in cents.
func lineOf(tea string, qty, price int) string {
	return fmt.Sprintf("%s %d €%d.%02d", tea, qty, qty*price/100, qty*price%100)
}

// windowsAreLive has two windows of one browser click in turn, while the replicas
// restart too: what one changes the other shows, without being touched.
func windowsAreLive(t *testing.T, browser context.Context, url string) {
	one := buyer{t, openTab(t, browser, chromedp.WithNewBrowserContext())}
	one.run(chromedp.Navigate(url))
	two := buyer{t, openTab(t, one.ctx)}
	two.run(chromedp.Navigate(url))
	require.False(t, ask[bool](two, liveMark), "there is no cart yet")

	one.click(addSencha)
	two.awaitCart("Sencha 1 €8.90")
	two.click(addMatcha)
	one.awaitCart("Sencha 1 €8.90", "Matcha 1 €19.50")
	require.True(t, ask[bool](one, liveMark))
	require.True(t, ask[bool](two, liveMark))
	require.Equal(t, "Changed in another window. 2 in the cart, €28.40.", one.text("#says"))
	two.run(chromedp.Reload())
	one.click(moreSencha)
	two.awaitCart("Sencha 2 €17.80", "Matcha 1 €19.50")

	one.run(chromedp.Click(chromedp.CSS(restartAll)),
		chromedp.Poll[chromedp.Void](`document.querySelector(".roll progress").value > 0`,
			chromedp.WithPollingTimeout(10*time.Second)))
	rounds := 0
	for ; rounds < 3 || ask[bool](one, `document.querySelector("`+restartAll+`").disabled`); rounds++ {
		one.click(moreSencha)
		two.awaitCart("Sencha 3 €26.70", "Matcha 1 €19.50")
		two.click(lessSencha)
		one.awaitCart("Sencha 2 €17.80", "Matcha 1 €19.50")
	}
	t.Logf("%d changes each way while the replicas restarted", rounds)
	two.click(emptyCart)
	one.awaitCart()
	for _, b := range []buyer{one, two} {
		require.Equal(t, "", b.text("#alert"), "no click has failed")
		b.run(chromedp.Poll[chromedp.Void](liveMark, chromedp.WithPollingTimeout(10*time.Second)))
	}
}

func worksWithoutScript(t *testing.T, browser context.Context, url string) {
	ctx := openTab(t, browser, chromedp.WithNewBrowserContext())
	b := buyer{t, ctx}
	_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled,
		emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	b.run(chromedp.Navigate(url))
	press := func(selector string) {
		_, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector)))
		require.NoError(t, err)
	}
	press(addSencha)
	press(moreSencha)
	require.Equal(t, []string{"Sencha 2 €17.80"}, b.cart())
	requireWayIsDrawn(b)
	press(emptyCart)
	require.Empty(t, b.cart())
}

// takePictures looks at the page in light and dark, wide and narrow: nothing may
// stick out sideways. With "go test -artifacts" the pictures stay.
func takePictures(b buyer) {
	b.t.Helper()
	dir := b.t.ArtifactDir()
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"desktop", 1280, 900}, {"tablet", 768, 1024}, {"phone", 360, 740}} {
		for _, scheme := range []string{"light", "dark"} {
			b.run(chromedp.EmulateViewport(size.width, size.height))
			_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			require.NoError(b.t, err)
			require.LessOrEqual(b.t, ask[int64](b, `document.documentElement.scrollWidth`), size.width, "%s sticks out",
				size.name)
			png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			require.NoError(b.t, err)
			require.NoError(b.t, os.WriteFile(filepath.Join(dir, size.name+"-"+scheme+".png"), png, 0o644))
		}
	}
	b.run(chromedp.EmulateViewport(1280, 900))
}
