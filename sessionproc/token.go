package sessionproc

import (
	"context"
	"sync"
	"time"
)

// None is the type of an argument, request or reply that carries nothing.
type None struct{}

// KindRef names a kind and the type of its start argument. It is part of the
// contract that callers import: it holds no code of the kind. Make it once, as
// a package variable, with KindOf.
type KindRef[Arg any] struct {
	name string
	arg  codec[Arg]
	pool sync.Pool // of *start[Arg]

	mu     sync.Mutex
	tokens []string // guarded by mu: names of its methods and notices, by index
}

// KindOf makes the token of a kind. The name travels on the wire and must be
// the same in all releases; 1 to 64 bytes of any text.
func KindOf[Arg any](name string) *KindRef[Arg] {
	return &KindRef[Arg]{name: name, arg: newCodec[Arg]()}
}

// Name returns the kind's name.
func (k *KindRef[Arg]) Name() string { return k.name }

// Start starts session id with arg. ErrAlreadyStarted if it is there: of any
// number of concurrent starts, from any nodes, one succeeds.
func (k *KindRef[Arg]) Start(ctx context.Context, c Caller, id string, arg Arg) error {
	return k.deliver(ctx, c, id, arg, OpStart)
}

// Ensure starts session id with arg unless it is there, and reports whether it
// did. It counts as use of a session that is there. ErrWrongKind if the session is
// there and of another kind.
func (k *KindRef[Arg]) Ensure(ctx context.Context, c Caller, id string, arg Arg) (started bool, err error) {
	return ensured(k.deliver(ctx, c, id, arg, OpEnsure))
}

func (k *KindRef[Arg]) deliver(ctx context.Context, c Caller, id string, arg Arg, what Op) error {
	msg, _ := k.pool.Get().(*start[Arg])
	if msg == nil {
		msg = newStart(k)
	}
	msg.arg, msg.what = arg, what
	err := c.Deliver(ctx, id, msg)
	msg.release()
	return err
}

// Method is a token for calls: the name of a method of a kind with the types of
// its request and reply. It names no function, so callers need not import the
// handlers. Make it once, as a package variable, with MethodOf.
type Method[Req, Rep any] struct {
	token
	req  codec[Req]
	rep  codec[Rep]
	pool sync.Pool // of *call[Req, Rep]
}

// MethodOf makes the token of a method of kind k. The name travels on the wire.
func MethodOf[Req, Rep, Arg any](k *KindRef[Arg], name string) *Method[Req, Rep] {
	return &Method[Req, Rep]{token: newToken(k, name), req: newCodec[Req](), rep: newCodec[Rep]()}
}

// Call sends req to session id and returns its handler's reply. It returns
// when the reply is there, ctx has ended, or the session cannot answer;
// without a deadline in ctx the node's CallTimeout holds. The handler runs at
// most once, unless the method is ReadOnly; after an error MaybeExecuted tells
// whether it may have run. Caller and session share no memory: what is not a
// plain value is copied.
func (m *Method[Req, Rep]) Call(ctx context.Context, c Caller, id string, req Req) (Rep, error) {
	msg, _ := m.pool.Get().(*call[Req, Rep])
	if msg == nil {
		msg = newCall(m)
	}
	msg.req = req
	var rep Rep
	err := c.Deliver(ctx, id, msg)
	if err == nil {
		rep = msg.rep // after an error a handler may still write it
	}
	msg.release()
	return rep, err
}

// Notice is a token for casts: messages that nobody answers. Make it once, as
// a package variable, with NoticeOf.
type Notice[Msg any] struct {
	token
	msg codec[Msg]
}

// NoticeOf makes the token of a notice of kind k. The name travels on the wire.
func NoticeOf[Msg, Arg any](k *KindRef[Arg], name string) *Notice[Msg] {
	return &Notice[Msg]{token: newToken(k, name), msg: newCodec[Msg]()}
}

// Cast sends msg to session id. Nil means that the message is in the session's
// mailbox, on whatever node it lives; its handler runs later, after every
// message whose send had returned before this one was sent. If the session
// ends first, the message ends with it.
func (n *Notice[Msg]) Cast(ctx context.Context, c Caller, id string, msg Msg) error {
	return c.Deliver(ctx, id, &cast[Msg]{notice: n, msg: msg})
}

// After has msg cast to the session whose handler or start function ctx
// belongs to, once, after d. It is handled as any cast, in its turn, but does not
// count as use of the session, and takes no place in the mailbox from others: it is
// cast however full that is. The timer moves with the session, with the time that
// is left, and ends with it; one that is due while the session moves, while the
// process stands still, or while its node has no quorum, fires right afterwards.
//
// The timer is not set if the session has KindConfig.MaxTimers already or msg does not
// encode. The log warns of that, for each kind at most ten times in a minute. Nor is it
// set by a goroutine that a handler has left behind when the session does not run here
// any more. A handler that has to know, or that may want to cancel the timer, uses
// AfterNamed.
func (n *Notice[Msg]) After(ctx context.Context, d time.Duration, msg Msg) {
	_ = setTimer(ctx, n, "", d, false, msg) // logged
}

// Every is After again and again, every d, until the session ends. At most one of its
// messages waits in the mailbox at any time: when a
// handler, a pause or a move takes longer than d, the times that are missed are made
// up for by that one, and the later ones come at whole intervals after the first. It
// panics if d is not positive. To cancel it later, use EveryNamed.
func (n *Notice[Msg]) Every(ctx context.Context, d time.Duration, msg Msg) {
	if d <= 0 {
		panic("sessionproc: Every needs a positive interval")
	}
	_ = setTimer(ctx, n, "", d, true, msg) // logged
}

// AfterNamed is After for a timer that has a name, 1 to 64 bytes, by which
// Session.CancelTimer finds it, after moves too. It takes the place of the session's
// timer of that name, of whatever notice, so that setting it again puts it off. What
// After only logs is returned as well: ErrTooManyTimers if the session has
// KindConfig.MaxTimers, ErrBadRequest if msg does not encode; then nothing is set and a
// timer of that name goes on. It panics if the name is too short or too long.
func (n *Notice[Msg]) AfterNamed(ctx context.Context, name string, d time.Duration, msg Msg) error {
	checkTimerName(name)
	return setTimer(ctx, n, name, d, false, msg)
}

// EveryNamed is Every for a timer with a name; see AfterNamed.
func (n *Notice[Msg]) EveryNamed(ctx context.Context, name string, d time.Duration, msg Msg) error {
	checkTimerName(name)
	if d <= 0 {
		panic("sessionproc: EveryNamed needs a positive interval")
	}
	return setTimer(ctx, n, name, d, true, msg)
}

// token is what methods and notices have in common: their place in a kind.
type token struct {
	ref   any    // the *KindRef; the kind that is bound to it compares pointers
	kind  string // its name
	name  string
	index int // among the tokens of ref
}

func newToken[Arg any](k *KindRef[Arg], name string) token {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens = append(k.tokens, name)
	return token{ref: k, kind: k.name, name: name, index: len(k.tokens) - 1}
}

// Name returns the method's or notice's name.
func (t *token) Name() string { return t.name }

// Kind returns the name of the kind it belongs to.
func (t *token) Kind() string { return t.kind }

// Caller reaches sessions on any node by their ID. *node.Node is one, and so
// is Session.Cluster in a handler.
type Caller interface {
	// Deliver takes m to session id, wherever it lives, and returns when m has
	// been dealt with. Tokens call it; use their methods instead.
	Deliver(ctx context.Context, id string, m Message) error
}

// Message is one start, call or cast that a token has made. Package node
// routes it: to Table.Deliver where the session lives here, otherwise encoded
// over the network.
type Message interface {
	// Op, Kind and Method say what it is; Method is empty for a start.
	Op() Op
	Kind() string
	Method() string
	// AppendPayload appends the encoded argument or request to b: ErrBadRequest if it
	// is more than most bytes, if that is not 0.
	AppendPayload(b []byte, most int) (payload []byte, raw bool, err error)
	// ReadReply takes the encoded reply of a call.
	ReadReply(payload []byte, raw bool) error

	deliver(ctx context.Context, t *Table, part int, id string) error
}
