package browsertest

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

func TestCheckoutWorksInABrowser(t *testing.T) {
	browser, url := openBrowser(t), openShop(t, "checkout")
	one := customer{buyer{t, openTab(t, browser, chromedp.WithNewBrowserContext())}}
	one.run(chromedp.Navigate(url))
	one.press(`[data-sku=matcha] button`)
	one.press(`[data-sku=matcha] button`)
	one.press(`[data-sku=oolong] button`)
	require.Equal(t, "5140", one.text(".sum"))
	require.Equal(t, "8", one.text("[data-sku=matcha] .left"))
	require.False(t, ask[bool](one.buyer, `!!document.querySelector("#pay")`), "log in first")

	two := customer{buyer{t, openTab(t, one.ctx)}}
	two.run(chromedp.Navigate(url))
	one.login("ann")
	two.await("Log out ann everywhere", "#logout") // its window follows the cart to the new ID
	one.pay("declined")
	two.await("Paying…", status)
	two.await("Your bank has declined the payment.", status)
	require.Equal(t, "5140", two.text(".sum"), "the cart stays")

	two.pay("good")
	one.await("Paying…", status)
	require.True(t, ask[bool](one.buyer, `document.querySelector("#pay").disabled`))
	one.run(chromedp.Reload()) // the page answers meanwhile
	require.Equal(t, "Paying…", one.text(status))
	for _, c := range []customer{one, two} {
		c.run(chromedp.Poll[chromedp.Void](`document.querySelector("`+status+`").textContent.includes("Paid. Your receipt is R-")`,
			chromedp.WithPollingTimeout(20*time.Second)))
		require.Equal(t, "0", c.text("[data-sku=matcha] .mine"))
		require.Equal(t, "8", c.text("[data-sku=matcha] .left"))
	}

	abroad := customer{buyer{t, openTab(t, browser, chromedp.WithNewBrowserContext())}}
	abroad.run(chromedp.Navigate(url))
	abroad.press(`[data-sku=sencha] button`)
	abroad.login("ann")
	two.press("#logout")
	for _, c := range []customer{one, two, abroad} {
		c.run(chromedp.Reload())
		require.True(t, ask[bool](c.buyer, `!!document.querySelector("#login")`), "logged out everywhere")
		require.Equal(t, "0", c.text("[data-sku=sencha] .mine"))
	}
}

const status = "[role=status]"

// A customer uses the page of examples/checkout, whose forms work without its script.
type customer struct{ buyer }

// press presses a button that sends a form, and waits for the page that answers.
func (c customer) press(selector string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 20*time.Second)
	defer cancel()
	_, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector)))
	require.NoError(c.t, err)
}

func (c customer) login(user string) {
	c.t.Helper()
	c.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=user]").value = "` + user + `"`))
	c.press("#login")
}

func (c customer) pay(card string) {
	c.t.Helper()
	c.run(chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=card]").value = "` + card + `"`))
	c.press("#pay")
}

// await waits until the page says something, untouched.
func (c customer) await(text, selector string) {
	c.t.Helper()
	c.run(chromedp.Poll[chromedp.Void](`document.querySelector("`+selector+`")?.textContent.trim() === "`+text+`"`,
		chromedp.WithPollingTimeout(20*time.Second)))
}
