package sessionproc

import (
	"context"
	"sync"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// None is the type of an argument, request or reply that carries nothing.
type None struct{}

// KindRef names a kind and the type of its start argument. It is part of the
// contract that callers import: it holds no code of the kind. Make it once, as
// a package variable, with KindOf.
type KindRef[Arg any] struct {
	name string
	arg  core.Codec[Arg]
	pool sync.Pool // of *start[Arg]

	mu     sync.Mutex
	tokens []string // guarded by mu: names of its methods and notices, by index
}

// KindOf makes the token of a kind. The name travels on the wire and must be
// the same in all releases; 1 to 64 bytes of any text.
func KindOf[Arg any](name string) *KindRef[Arg] {
	return &KindRef[Arg]{name: name, arg: core.NewCodec[Arg]()}
}

// Name returns the kind's name.
func (k *KindRef[Arg]) Name() string { return k.name }

// Start starts session id with arg and returns when the start function has returned. The error is
// ErrAlreadyStarted if the session exists: of any number of concurrent starts, from any nodes, one
// succeeds.
func (k *KindRef[Arg]) Start(ctx context.Context, c Caller, id string, arg Arg) error {
	return k.deliver(ctx, c, id, arg, core.OpStart)
}

// Ensure starts session id with arg unless the session exists, and reports whether it did. It counts
// as use of an existing session. The error is ErrWrongKind if the session exists and is of another
// kind.
func (k *KindRef[Arg]) Ensure(ctx context.Context, c Caller, id string, arg Arg) (started bool, err error) {
	return core.Ensured(k.deliver(ctx, c, id, arg, core.OpEnsure))
}

func (k *KindRef[Arg]) deliver(ctx context.Context, c Caller, id string, arg Arg, what core.Op) error {
	msg, _ := k.pool.Get().(*start[Arg])
	if msg == nil {
		msg = newStart(k)
	}
	msg.arg, msg.what = arg, what
	err := c.Deliver(ctx, id, msg)
	msg.release()
	return err
}

// A Method is a token for calls: the name of a method of a kind, with the types of its request and
// reply. It contains no function, so callers need not import the handlers. Make it once, as a
// package variable, with MethodOf.
type Method[Req, Rep any] struct {
	token core.Token
	req   core.Codec[Req]
	rep   core.Codec[Rep]
	pool  sync.Pool // of *call[Req, Rep]
}

// MethodOf makes the token of a method of kind k. The name travels on the wire.
func MethodOf[Req, Rep, Arg any](k *KindRef[Arg], name string) *Method[Req, Rep] {
	return &Method[Req, Rep]{token: newToken(k, name), req: core.NewCodec[Req](), rep: core.NewCodec[Rep]()}
}

// Name returns the method's name.
func (m *Method[Req, Rep]) Name() string { return m.token.Name }

// Kind returns the name of the kind that the method belongs to.
func (m *Method[Req, Rep]) Kind() string { return m.token.Kind }

// Call sends req to session id and returns the handler's reply. It blocks until the reply has come,
// ctx has ended, or the session cannot answer. Without a deadline in ctx the node's CallTimeout
// applies. The handler runs at most once, unless the method is ReadOnly; in a kind with Replicas it
// runs again if its node has crashed, and its effects on the state are there once. After an error
// MaybeExecuted reports whether the handler may have run. Caller and session share no memory:
// values that are not plain are copied.
func (m *Method[Req, Rep]) Call(ctx context.Context, c Caller, id string, req Req) (Rep, error) {
	msg, _ := m.pool.Get().(*call[Req, Rep])
	if msg == nil {
		msg = newCall(m)
	}
	msg.req = req
	var rep Rep
	err := c.Deliver(ctx, id, msg)
	if err == nil {
		rep = msg.rep // after an error a handler may still write to msg.rep
	}
	msg.release()
	return rep, err
}

// A Notice is a token for casts: messages without a reply. Make it once, as a package variable, with
// NoticeOf.
type Notice[Msg any] struct {
	token core.Token
	msg   core.Codec[Msg]
}

// NoticeOf makes the token of a notice of kind k. The name travels on the wire.
func NoticeOf[Msg, Arg any](k *KindRef[Arg], name string) *Notice[Msg] {
	return &Notice[Msg]{token: newToken(k, name), msg: core.NewCodec[Msg]()}
}

// Name returns the notice's name.
func (n *Notice[Msg]) Name() string { return n.token.Name }

// Kind returns the name of the kind that the notice belongs to.
func (n *Notice[Msg]) Kind() string { return n.token.Kind }

// Cast sends msg to session id. A nil error means that msg is in the session's mailbox, on whatever
// node the session lives. The handler runs later, after those of all messages whose send had
// returned before Cast was called. If the session ends first, msg is lost.
func (n *Notice[Msg]) Cast(ctx context.Context, c Caller, id string, msg Msg) error {
	return c.Deliver(ctx, id, &cast[Msg]{notice: n, msg: msg})
}

func newToken[Arg any](k *KindRef[Arg], name string) core.Token {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens = append(k.tokens, name)
	return core.Token{Ref: k, Kind: k.name, Name: name, Index: len(k.tokens) - 1}
}

// A Caller reaches sessions on any node by their ID. *node.Node implements it. In a handler use
// Session.Cluster. A Caller of your own that has only Deliver starts, calls, casts and subscribes,
// each by itself; one that embeds a *node.Node also broadcasts, starts many sessions with few
// requests, and shares subscriptions.
type Caller interface {
	// Deliver delivers m to session id, wherever the session lives, and returns when m is answered
	// or, for a cast, queued. Tokens call it; use their methods instead.
	Deliver(ctx context.Context, id string, m Message) error
}

// A Message is one start, call or cast made by a token. Package node routes it.
type Message interface{ core.Message }
