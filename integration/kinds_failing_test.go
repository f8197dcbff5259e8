package integration_test

import (
	"context"
	"errors"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A fragile session is asked by its argument how its start shall end.
var (
	fragile = sessionproc.KindOf[string]("fragile")
	howMade = sessionproc.MethodOf[sessionproc.None, string](fragile, "how_made")
)

type fragileState struct{ How string }

func newFragile() sessionproc.AnyKind {
	k := sessionproc.NewKind(fragile, func(ctx context.Context, how string) (*fragileState, error) {
		switch how {
		case "own error":
			return nil, errSoldOut
		case "other error":
			return nil, errors.New("the shelf is empty")
		case "panic":
			panic("the shelf fell down")
		case "slow":
			<-events.gate(sessionproc.FromContext(ctx).ID())
		}
		return &fragileState{How: how}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, howMade, func(s *fragileState, _ context.Context, _ sessionproc.None) (string, error) {
		return s.How, nil
	})
	return k
}

// A session with last words panics in OnEnd, and in a timer if asked to.
var (
	lastWords = sessionproc.KindOf[sessionproc.None]("last_words")
	armBomb   = sessionproc.MethodOf[sessionproc.None, sessionproc.None](lastWords, "arm_bomb")
	bomb      = sessionproc.NoticeOf[string](lastWords, "bomb")
)

type lastWordsState struct{ ID string }

func (s *lastWordsState) ended(context.Context, sessionproc.Reason) { panic("no last words") }

func newLastWords() sessionproc.AnyKind {
	k := sessionproc.NewKind(lastWords, func(ctx context.Context, _ sessionproc.None) (*lastWordsState, error) {
		return &lastWordsState{ID: sessionproc.FromContext(ctx).ID()}, nil
	}, sessionproc.KindConfig{})
	k.OnEnd((*lastWordsState).ended)
	sessionproc.HandleCall(k, armBomb, func(_ *lastWordsState, ctx context.Context, _ sessionproc.None) (sessionproc.None,
		error) {
		bomb.After(ctx, 10*time.Millisecond, "the bomb went off")
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCast(k, bomb, func(s *lastWordsState, _ context.Context, text string) error {
		events.tell(s.ID, "bomb")
		panic(text)
	})
	return k
}

// A parcel goes off when it is opened: a request, or wrapped: a reply.
var (
	parcels  = sessionproc.KindOf[sessionproc.None]("parcel")
	receive  = sessionproc.MethodOf[unopened, sessionproc.None](parcels, "receive")
	dispatch = sessionproc.MethodOf[sessionproc.None, unwrapped](parcels, "dispatch")
	received = sessionproc.MethodOf[sessionproc.None, int](parcels, "received")
)

type (
	parcel    struct{ Received int }
	unopened  struct{ Content []string }
	unwrapped struct{ Content []string }
)

const parcelPanic = "the parcel ticks"

func (unopened) EncodeMsgpack(e *msgpack.Encoder) error   { return e.EncodeBool(true) }
func (*unopened) DecodeMsgpack(*msgpack.Decoder) error    { panic(parcelPanic) }
func (unwrapped) EncodeMsgpack(*msgpack.Encoder) error    { panic(parcelPanic) }
func (*unwrapped) DecodeMsgpack(d *msgpack.Decoder) error { return d.Skip() }

func newParcels() sessionproc.AnyKind {
	k := sessionproc.NewKind(parcels, startsAs[parcel],
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, receive, func(p *parcel, _ context.Context, _ unopened) (sessionproc.None, error) {
		p.Received++
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCall(k, dispatch, func(*parcel, context.Context, sessionproc.None) (unwrapped,
		error) {
		return unwrapped{}, nil
	})
	sessionproc.HandleCall(k, received, func(p *parcel, _ context.Context, _ sessionproc.None) (int,
		error) {
		return p.Received, nil
	})
	return k
}
