package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// TestAcceptance41_TaskResultsComeOnce has work that takes longer than a move. Its session is called meanwhile,
// and gets the result once, wherever it is by then.
func TestAcceptance41_TaskResultsComeOnce(t *testing.T) {
	eachPlaceAtOnce(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, butlers.Start(t.Context(), p.from, id, sessionproc.None{}))
		for name, d := range map[string]duty{
			"mail":  {Takes: 2 * time.Second},
			"again": {Takes: 2 * time.Second, Retry: true},
			"tax":   {Takes: 2 * time.Second, How: "fail"},
			"bank":  {Takes: 2 * time.Second, How: "panic"},
			"queue": {Takes: 20 * time.Second, How: "limit"},
			"never": {Takes: 2 * time.Second},
		} {
			d.Name = name
			_, err := delegate.Call(t.Context(), p.from, id, d)
			require.NoError(t, err)
		}
		_, err := delegate.Call(t.Context(), p.from, id, duty{Name: "mail"})
		require.ErrorContains(t, err, sessionproc.ErrTaskRunning.Error())
		was, err := dropDuty.Call(t.Context(), p.from, id, "never")
		require.NoError(t, err)
		require.True(t, was)
		if p.moving != nil {
			p.move(t)
		}
		var got []string
		require.Eventually(t, func() bool {
			got, err = reports.Call(t.Context(), p.from, id, sessionproc.None{})
			return err == nil && len(got) >= 5
		}, 30*time.Second, 5*time.Millisecond)
		time.Sleep(time.Second)
		got, err = reports.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"mail done", "again done", "tax office", "bank crashed", "queue late"}, got)
	})
}

// TestAcceptance41_TaskResultsComeToTheNewID gives a session that waits for work a new ID.
func TestAcceptance41_TaskResultsComeToTheNewID(t *testing.T) {
	eachStillPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, butlers.Start(t.Context(), p.from, id, sessionproc.None{}))
		_, err := delegate.Call(t.Context(), p.from, id, duty{Name: "mail", Takes: 300 * time.Millisecond})
		require.NoError(t, err)
		newID, err := p.from.Renew(t.Context(), id)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			got, err := reports.Call(t.Context(), p.from, newID, sessionproc.None{})
			require.NoError(t, err)
			return len(got) == 1 && got[0] == "mail done"
		}, 30*time.Second, 5*time.Millisecond)
	})
}
