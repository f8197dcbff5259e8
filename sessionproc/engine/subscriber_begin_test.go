package engine

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A pollster is a Caller whose polls are answered by the test, one after the other.
type pollster struct{ polls chan chan pollReply }

func (c *pollster) Deliver(ctx context.Context, _ string, m sessionproc.Message) error {
	answer := make(chan pollReply, 1)
	select {
	case c.polls <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case n := <-answer:
		return m.ReadReply(n.append(nil), true)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begins has a subscription begin in the background.
func (c *pollster) begins(t *testing.T, h *hub) (s *subscription, first chan pollReply, begun <-chan error) {
	s = newSubscription(16)
	done := make(chan error, 1)
	go func() { done <- h.subscribe(t.Context(), feedKey{id: "a"}, s, sessionproc.Position{}, false) }()
	return s, <-c.polls, done
}

// valueAt is the answer to a poll with one value: what was published at the offset, or the state then.
func valueAt(number, offset uint64, present, gap bool) pollReply {
	at := sessionproc.Position{Incarnation: sessionproc.Incarnation{Number: number, Boot: 1}, Offset: offset}
	v := published{payload: []byte(strconv.FormatUint(offset, 10)), raw: true}
	return pollReply{at: at, items: []item{{published: v, at: at, present: present, gap: gap}}}
}

// A session was promoted. The poll of a feed has got its present value, and so has the first poll of a
// subscription that begins there. Whichever of the two is older, the subscription does not go back.
func TestASubscriptionThatBeginsDoesNotGoBack(t *testing.T) {
	for offset := uint64(17); offset <= 21; offset++ {
		t.Run(fmt.Sprintf("the feed is at %d", offset), func(t *testing.T) {
			c := &pollster{polls: make(chan chan pollReply)}
			h := newFeeds(c, 0, nil)
			defer h.close()
			_, first, begun := c.begins(t, h)
			first <- valueAt(1, 18, true, false)
			require.NoError(t, <-begun)
			waits := <-c.polls // the feed's
			s, own, begun := c.begins(t, h)
			waits <- valueAt(2, offset, true, true)
			waits = <-c.polls
			own <- valueAt(2, 19, true, false)
			require.NoError(t, <-begun)
			waits <- valueAt(2, 22, false, true)
			last := uint64(0)
			for last < 22 {
				it, err := s.next(t.Context())
				require.NoError(t, err)
				require.EqualValues(t, 2, it.at.Incarnation.Number)
				require.Greater(t, it.at.Offset, last)
				last = it.at.Offset
			}
		})
	}
}

// A feed that is slow finds a gap where a subscription has begun beyond it in the meantime: it does not go back,
// and it misses nothing.
func TestASubscriptionThatHasBegunDoesNotGoBackToAGapOfItsFeed(t *testing.T) {
	for offset := uint64(6); offset <= 11; offset++ {
		t.Run(fmt.Sprintf("the gap is before %d", offset), func(t *testing.T) {
			c := &pollster{polls: make(chan chan pollReply)}
			h := newFeeds(c, 0, nil)
			defer h.close()
			_, first, begun := c.begins(t, h)
			first <- valueAt(1, 4, true, false)
			require.NoError(t, <-begun)
			waits := <-c.polls // the feed's
			s, own, begun := c.begins(t, h)
			own <- valueAt(1, 9, true, false)
			require.NoError(t, <-begun)
			news := valueAt(1, offset, false, true)
			for next := offset + 1; next <= 12; next++ {
				n := valueAt(1, next, false, false)
				news.at, news.items = n.at, append(news.items, n.items...)
			}
			waits <- news
			for want := uint64(9); want <= 12; want++ {
				if want == 10 && offset == 11 {
					want = 11
				}
				it, err := s.next(t.Context())
				require.NoError(t, err)
				require.Equal(t, want, it.at.Offset)
				require.Equal(t, offset == 11 && want == 11, it.gap)
			}
		})
	}
}

// Two copies of a session have met. The feed was at the one that went into the other when a subscription began,
// which has begun with the merged one: what the feed had got before is no news.
func TestASubscriptionThatBeginsDoesNotGoBackToAnEarlierLife(t *testing.T) {
	c := &pollster{polls: make(chan chan pollReply)}
	h := newFeeds(c, 0, nil)
	defer h.close()
	_, first, begun := c.begins(t, h)
	first <- valueAt(2, 4, true, false)
	require.NoError(t, <-begun)
	waits := <-c.polls // the feed's
	s, own, begun := c.begins(t, h)
	for _, news := range []pollReply{valueAt(2, 5, false, false), valueAt(2, 6, false, false), valueAt(1, 8, true, true)} {
		waits <- news
		waits = <-c.polls
	}
	own <- valueAt(1, 7, true, false)
	require.NoError(t, <-begun)
	waits <- valueAt(1, 9, false, false)
	merged := sessionproc.Incarnation{Number: 1, Boot: 1}
	for offset := uint64(7); offset <= 9; offset++ {
		it, err := s.next(t.Context())
		require.NoError(t, err)
		require.Equal(t, sessionproc.Position{Incarnation: merged, Offset: offset}, it.at)
	}
}
