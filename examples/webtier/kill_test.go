//go:build unix

package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kill asks the shop to kill a replica, or how far that has come if there is no name.
func (s *running) kill(t *testing.T, replica string) (state killState) {
	t.Helper()
	method, form := http.MethodGet, ""
	if replica != "" {
		method, form = http.MethodPost, url.Values{"replica": {replica}}.Encode()
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+"tier/kill", strings.NewReader(form))
	require.NoError(t, err)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&state))
	return state
}

func TestReplicasAreKilledOneAtATime(t *testing.T) {
	t.Parallel()
	s := open(t, "127.0.0.1:0")
	require.False(t, s.kill(t, "nobody").Killing)
	require.True(t, s.kill(t, "B").Killing)
	require.Equal(t, "B", s.kill(t, "C").Replica, "another one has to wait")
	resp, err := http.PostForm(s.url+"tier/restart", nil)
	require.NoError(t, err)
	resp.Body.Close()
	var end killState
	require.Eventually(t, func() bool { end = s.kill(t, ""); return !end.Killing }, time.Minute, 20*time.Millisecond)
	require.Equal(t, "B was killed; it had no cart. B is back.", end.Says)
	require.False(t, alive(s.pids[1]))
	require.True(t, alive(s.pids[0]))
	require.True(t, alive(s.pids[2]), "neither killed nor restarted")
	s.pids = []int{s.pids[0], s.pids[2]}
	s.end(t, syscall.SIGINT)
	s.requireNoError(t)
}

func TestKillOfADeadReplicaBringsItBack(t *testing.T) {
	t.Parallel()
	s := open(t, "127.0.0.1:0")
	require.NoError(t, syscall.Kill(s.pids[2], syscall.SIGKILL))
	require.Eventually(t, func() bool { return !alive(s.pids[2]) }, 30*time.Second, 10*time.Millisecond)
	require.True(t, s.kill(t, "C").Killing)
	require.Eventually(t, func() bool { return !s.kill(t, "").Killing }, time.Minute, 20*time.Millisecond)
	require.Contains(t, s.kill(t, "").Says, "C is back.")
	s.end(t, syscall.SIGINT)
	s.requireNoError(t)
}

func TestAKillIsToldInWords(t *testing.T) {
	for _, row := range []struct {
		had, went int
		where     []string
		want      string
	}{
		{0, 0, nil, "B was killed; it had no cart."},
		{1, 1, []string{"A"}, "B was killed; its cart went on at A after 3.1 s; none was lost."},
		{12, 12, []string{"A", "C"}, "B was killed; its 12 carts went on at A and C after 3.1 s; none was lost."},
		{12, 9, []string{"A", "C"}, "B was killed; 9 of its 12 carts went on at A and C after 3.1 s; 3 were lost."},
		{12, 11, []string{"A", "C"}, "B was killed; 11 of its 12 carts went on at A and C after 3.1 s; 1 was lost."},
		{1, 0, nil, "B was killed; its cart was lost."},
		{12, 0, nil, "B was killed; its 12 carts were lost."},
	} {
		require.Equal(t, row.want, tell("B", row.had, row.went, row.where, 3120*time.Millisecond))
	}
}
