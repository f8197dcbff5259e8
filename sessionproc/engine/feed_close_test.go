package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// closing is a Caller that answers a poll when the feeds have just been closed.
type closing struct{ feeds *hub }

func (c *closing) Deliver(_ context.Context, _ string, m sessionproc.Message) error {
	n := pollReply{at: sessionproc.Position{Incarnation: sessionproc.Incarnation{Number: 1, Boot: 1}}}
	err := m.ReadReply(n.append(nil), true)
	c.feeds.close()
	return err
}

// A subscription or watch that begins as its node closes fails. It ended the process.
func TestASubscriptionThatBeginsAtTheCloseFails(t *testing.T) {
	c := new(closing)
	c.feeds = newFeeds(c, time.Second, nil)
	require.ErrorIs(t, c.feeds.subscribe(t.Context(), feedKey{id: "a"}, newSubscription(1), sessionproc.Position{},
		false), sessionproc.ErrClosed)
}
