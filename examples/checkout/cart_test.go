package main

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
)

// An abandoned cart gives back what it has reserved, on time, whatever happens to the stock's node meanwhile.
func TestAnAbandonedCartGivesItsTeasBack(t *testing.T) {
	for name, happens := range map[string]func(m *market){
		"nothing happens": func(*market) {},
		"the stock moves": func(m *market) { m.Leave(m.Owner(stockID("oolong"))) },
		"its node dies":   func(m *market) { m.Crash(m.Owner(stockID("oolong"))) },
		"the cart's dies": func(m *market) { m.Crash(m.Owner("ann")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMarket(t)
				begin := time.Now()
				m.do(Put, "ann", "oolong")
				require.Equal(t, map[string]int{"oolong": 2}, m.do(Put, "ann", "oolong").Items)
				require.Equal(t, atFirst-2, m.left("oolong"))
				happens(m)
				m.Settle()
				time.Sleep(holdFor - time.Second - time.Since(begin))
				require.Equal(t, atFirst-2, m.left("oolong"))
				time.Sleep(2 * time.Second)
				require.Equal(t, atFirst, m.left("oolong"))
			})
		})
	}
}

func TestNothingIsReservedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(t)
		for range atFirst {
			m.do(Put, "ann", "matcha")
		}
		_, err := Put.Call(t.Context(), m.Caller(), "bob", "matcha")
		require.ErrorIs(t, err, ErrSoldOut)
		require.Zero(t, m.left("matcha"))
		time.Sleep(holdFor + time.Second) // and now ann's cart pays without a reservation, of which one is gone
		m.do(Put, "bob", "matcha")
		m.do(Login, "ann", "ann")
		_, err = Pay.Call(t.Context(), m.Caller(), "ann", "good")
		require.ErrorIs(t, err, ErrSoldOut)
		require.False(t, m.look("ann").Paying)
		require.Zero(t, m.bank.count())
	})
}

func TestACartRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(t)
		_, err := Put.Call(t.Context(), m.Caller(), "ann", "coffee")
		require.ErrorIs(t, err, ErrNoSuchTea)
		m.do(Put, "ann", "sencha")
		_, err = Pay.Call(t.Context(), m.Caller(), "ann", "good")
		require.ErrorIs(t, err, ErrLogin)
		m.do(Login, "ann", "ann")
		require.True(t, m.do(Pay, "ann", "good").Paying)
		require.True(t, m.do(Pay, "ann", "good").Paying, "a second click")
		_, err = Put.Call(t.Context(), m.Caller(), "ann", "sencha")
		require.ErrorIs(t, err, ErrPaying)
	})
}

// Whatever happens while a cart pays, it has the receipt afterwards, the bank has charged once, and the stock is
// less by what was sold.
func TestAPaymentIsMadeOnce(t *testing.T) {
	for name, happens := range map[string]func(t *testing.T, m *market) (id string){
		"nothing happens": func(*testing.T, *market) string { return "ann" },
		"the cart moves": func(_ *testing.T, m *market) string {
			m.Leave(m.Owner("ann"))
			return "ann"
		},
		"its user logs in again, and it moves": func(t *testing.T, m *market) string {
			id, err := m.Node(0).Renew(t.Context(), "ann")
			require.NoError(t, err)
			m.Leave(m.Owner(id))
			return id
		},
		"its node dies": func(_ *testing.T, m *market) string {
			m.Crash(m.Owner("ann"))
			return "ann"
		},
		"its node dies when the bank has answered": func(_ *testing.T, m *market) string {
			time.Sleep(m.bank.takes - 2*time.Second)
			m.Crash(m.Owner("ann"))
			return "ann"
		},
		"the stock's node dies": func(_ *testing.T, m *market) string {
			m.Crash(m.Owner(stockID("matcha")))
			return "ann"
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMarket(t)
				m.do(Put, "ann", "matcha")
				m.do(Put, "ann", "sencha")
				m.do(Login, "ann", "ann")
				require.True(t, m.do(Pay, "ann", "good").Paying)
				time.Sleep(2 * time.Second)
				id := happens(t, m)
				m.Settle()
				time.Sleep(time.Minute)
				v := m.look(id)
				require.False(t, v.Paying)
				require.Regexp(t, "^R-", v.Receipt)
				require.Empty(t, v.Items)
				require.Equal(t, 1, m.bank.count())
				time.Sleep(holdFor)
				require.Equal(t, atFirst-1, m.left("matcha"))
				require.Equal(t, atFirst-1, m.left("sencha"))
				require.Equal(t, atFirst, m.left("oolong"))
			})
		})
	}
}

func TestADeclinedPaymentCanBeMadeWithAnotherCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(t)
		m.do(Put, "ann", "matcha")
		m.do(Login, "ann", "ann")
		m.do(Pay, "ann", "declined")
		time.Sleep(m.bank.takes + time.Second)
		v := m.look("ann")
		require.False(t, v.Paying)
		require.Contains(t, v.Note, "declined")
		require.Equal(t, map[string]int{"matcha": 1}, v.Items)
		m.do(Pay, "ann", "good")
		time.Sleep(m.bank.takes + time.Second)
		require.NotEmpty(t, m.look("ann").Receipt)
		require.Equal(t, 2, m.bank.count())
	})
}

// A bank that does not answer is asked again, until it does.
func TestABankThatIsDownIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(t)
		m.do(Put, "ann", "matcha")
		m.do(Login, "ann", "ann")
		m.bank.takes = 10 * time.Minute
		m.do(Pay, "ann", "good")
		time.Sleep(5 * time.Minute)
		require.True(t, m.look("ann").Paying)
		require.Equal(t, 1, m.bank.count())
		time.Sleep(6 * time.Minute)
		require.NotEmpty(t, m.look("ann").Receipt)
		require.Equal(t, 1, m.bank.count())
		require.Equal(t, atFirst-1, m.left("matcha"))
	})
}

// A login takes the cart to another ID, and a logout ends all carts of the user, in the web server's terms.
func TestLoginAndLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(t)
		shop, err := newShop(m.Node(0), newKey())
		require.NoError(t, err)
		open := func() *browser {
			b := newBrowser(t, "http://shop.example")
			b.Transport = inside{shop.handler()}
			return b
		}
		send := func(b *browser, path, field, value string) {
			t.Helper()
			status, _, err := b.send(t.Context(), path, field, value)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status)
		}
		home, office := open(), open()
		for _, b := range []*browser{home, office} {
			send(b, "/", "", "")
			send(b, "/put", "sku", "matcha")
			planted := b.Jar.Cookies(mustParse(b.url))
			send(b, "/login", "user", "ann")
			require.NotEqual(t, planted[0].Value, b.Jar.Cookies(mustParse(b.url))[0].Value)
			thief := open()
			thief.Jar.SetCookies(mustParse(b.url), planted)
			status, _, err := thief.send(t.Context(), "/", "", "")
			require.NoError(t, err)
			require.Equal(t, http.StatusConflict, status, "who knew the ID has nothing")
		}
		stats, err := m.Node(0).Stats(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, stats.Total.Kinds[Carts.Name()])
		send(home, "/logout", "all", "yes")
		stats, err = m.Node(0).Stats(t.Context())
		require.NoError(t, err)
		require.Zero(t, stats.Total.Kinds[Carts.Name()])
		send(office, "/", "", "")
		require.Equal(t, atFirst-2, m.left("matcha"), "until their time is over")
		time.Sleep(holdFor)
		require.Equal(t, atFirst, m.left("matcha"))
	})
}

// Everything that travels, with every field set; testdata has what release 1 has sent. "go test -run Compatible
// -nodetest.update" adds to it.
func TestReleasesStayCompatible(t *testing.T) {
	at := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	order := Order{"o-0", "o", map[string]int{"matcha": 1}, 1950, "good"}
	nodetest.CheckKind(t, NewCarts(&Bank{}), []any{
		Cart{"ann", "o", map[string]int{"matcha": 1}, 1, "good", "note", at, "R-1"},
		View{"ann", "note", "R-1", map[string]int{"matcha": 1}, 1950, true, at},
		order, Receipt{"R-1"}, "sku",
	}, "testdata")
	nodetest.CheckKind(t, NewStocks(atFirst), []any{
		Stock{1, map[string]int{"o": 2}, map[string]bool{"p": true}}, Reservation{"o", 2, at}, "o", 7,
	}, "testdata")
}
