package sessionproc

import (
	"context"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// After casts msg once, after d, to the session whose handler or start function was given ctx. msg
// is handled like any cast, in its turn. But it does not count as use of the session, and it needs
// no place in the mailbox, so it comes even if that is full. The timer moves with the session, with
// its remaining time, and ends with it. A timer that is due while the session moves, while the
// program stands still, or while the node has no quorum fires right afterwards.
//
// The timer is not set if the session has KindConfig.MaxTimers timers already, or if msg cannot be
// encoded. The log warns of that, at most ten times in a minute for each kind. The timer is also not
// set if a goroutine that a handler has left behind calls After when the session does not run here
// any more. To get an error, or to cancel the timer later, use AfterNamed.
func (n *Notice[Msg]) After(ctx context.Context, d time.Duration, msg Msg) {
	_ = setTimer(ctx, n, "", when{delay: d}, msg) // logged
}

// Every is After repeated every d until the session ends. At most one of its messages waits in the
// mailbox: if a handler, a pause or a move takes longer than d, that one message stands for all
// intervals that were missed, and later messages come at whole intervals after the first. Every
// panics if d is not positive. To cancel the timer later, use EveryNamed.
func (n *Notice[Msg]) Every(ctx context.Context, d time.Duration, msg Msg) {
	if d <= 0 {
		panic("sessionproc: Every needs a positive interval")
	}
	_ = setTimer(ctx, n, "", when{delay: d, again: true}, msg) // logged
}

// AfterNamed is After for a timer with a name, by which Session.CancelTimer finds it, also after a
// move. It replaces the session's timer of that name, of whatever notice, so setting a timer again
// postpones it. It returns the errors that After only logs: ErrTooManyTimers if the session has
// KindConfig.MaxTimers timers, and ErrBadRequest if msg cannot be encoded. After an error nothing
// has changed. AfterNamed panics if the name is not 1 to 64 bytes long.
func (n *Notice[Msg]) AfterNamed(ctx context.Context, name string, d time.Duration, msg Msg) error {
	checkTimerName(name)
	return setTimer(ctx, n, name, when{delay: d}, msg)
}

// EveryNamed is Every for a timer with a name; see AfterNamed.
func (n *Notice[Msg]) EveryNamed(ctx context.Context, name string, d time.Duration, msg Msg) error {
	checkTimerName(name)
	if d <= 0 {
		panic("sessionproc: EveryNamed needs a positive interval")
	}
	return setTimer(ctx, n, name, when{delay: d, again: true}, msg)
}

// when says when a timer fires.
type when struct {
	at    int64 // of At: the wall time, in ns since 1970
	delay time.Duration
	again bool // each delay
}

func setTimer[Msg any](ctx context.Context, n *Notice[Msg], name string, w when, msg Msg) error {
	h := headOf(ctx)
	b := bound(h, &n.token, core.OpCast, "a timer for notice")
	return h.Host.Engine.SetTimer(ctx, h, core.TimerRequest{Name: name, Notice: n.token.Name, Bound: b,
		Message: &timed[Msg]{n, msg},
		Raw:     n.msg.Raw, Delay: w.delay, Again: w.again, At: w.at})
}

// timed is the message of a timer. It implements timerMessage.
type timed[Msg any] struct {
	notice *Notice[Msg]
	msg    Msg
}

func (m *timed[Msg]) Encode(most int) ([]byte, error) {
	return m.notice.msg.EncodeLocal(nil, m.msg, most)
}

func (m *timed[Msg]) Decode(payload []byte) (any, error) {
	var msg Msg
	err := m.notice.msg.Decode(payload, m.notice.msg.Raw, &msg)
	return msg, err
}

// CancelTimer cancels the timer of that name, wherever the session was when it was
// set, and reports whether there was one. A message that it has cast already and
// that waits in the mailbox is still handled. It may be called from any goroutine;
// once the session has left this node it does nothing and returns false.
func (s *Session) CancelTimer(name string) bool {
	checkTimerName(name)
	return s.head.Host.Engine.CancelTimer(&s.head, name)
}

func checkTimerName(name string) {
	if name == "" || len(name) > 64 {
		panic(fmt.Sprintf("sessionproc: the name of a timer has %d bytes; 1 to 64 are allowed", len(name)))
	}
}
