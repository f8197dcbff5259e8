//go:build unix

package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWhatAReplicaDoesNotAnswerGoesToTheNextWithItsKey(t *testing.T) {
	replicas := []*replica{{at: report{HTTP: "a"}}, {at: report{HTTP: "b"}}, {at: report{HTTP: "c"}}} // all of them live
	for _, row := range []struct {
		method, key string
		keyed       bool
	}{{http.MethodPost, "", true}, {http.MethodPost, "theirs", true}, {http.MethodGet, "", false}} {
		hosts, keys := []string(nil), map[string]bool{}
		balancer := &inTurn{tier: &tier{replicas: replicas}, transport: roundTripper(
			func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				require.Equal(t, "tea=oolong", string(body))
				hosts, keys[r.Header.Get(headerKey)] = append(hosts, r.URL.Host), true
				if len(hosts) < 3 {
					return nil, errors.New("reset by peer")
				}
				return &http.Response{StatusCode: http.StatusOK}, nil
			})}
		r, err := http.NewRequestWithContext(t.Context(), row.method, "/cart/add", strings.NewReader("tea=oolong"))
		require.NoError(t, err)
		if row.key != "" {
			r.Header.Set(headerKey, row.key)
		}
		_, err = balancer.RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "c"}, hosts)
		require.Len(t, keys, 1, "each try has the same")
		require.Equal(t, !row.keyed, keys[""])
		require.True(t, row.key == "" || keys[row.key])
	}
}

func TestAClickThatIsSentTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	s := open(t, "127.0.0.1:0")
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	_, _, err = fetch(t.Context(), browser, s.url+"cart", nil) // brings the cookie
	require.NoError(t, err)
	for range 4 { // at each replica, and at the first one again
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"cart/add",
			strings.NewReader(url.Values{"tea": {"oolong"}, "qty": {"2"}}.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "application/json")
		r.Header.Set(headerKey, "one-click")
		resp, err := browser.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	st, _, err := fetch(t.Context(), browser, s.url+"cart", nil)
	require.NoError(t, err)
	require.True(t, st.holds(map[string]int{"oolong": 2}), "%+v", st.Lines)
	s.end(t, syscall.SIGINT)
	s.requireNoError(t)
}
