package integration_test

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A board is a number that others see, and what it has heard of others.
var (
	boards  = sessionproc.KindOf[int]("board")
	shown   = sessionproc.EventOf[int](boards, "shown")
	show    = sessionproc.MethodOf[int, int](boards, "show")
	closeUp = sessionproc.MethodOf[sessionproc.Reason, sessionproc.None](boards, "close")
	smash   = sessionproc.MethodOf[sessionproc.None, sessionproc.None](boards, "smash")
	mind    = sessionproc.MethodOf[string, sessionproc.None](boards, "mind")
	ended   = sessionproc.NoticeOf[sessionproc.Ended](boards, "ended")
	obits   = sessionproc.MethodOf[sessionproc.None, []sessionproc.Ended](boards, "obituaries")
	advance = sessionproc.NoticeOf[time.Duration](boards, "advance")

	// A flicker expires soon.
	flickers  = sessionproc.KindOf[sessionproc.None]("flicker")
	flickered = sessionproc.EventOf[int](flickers, "flickered")
)

type board struct {
	N     int
	Obits []sessionproc.Ended
}

func newBoards() sessionproc.AnyKind {
	none := sessionproc.None{}
	k := sessionproc.NewKind(boards, func(_ context.Context, n int) (*board, error) { return &board{N: n}, nil },
		sessionproc.KindConfig{})
	sessionproc.HandleEvent(k, shown, func(b *board) int {
		if b.N < 0 {
			panic("a board shows no negative numbers")
		}
		return b.N
	})
	// show adds to the number, and shows it.
	sessionproc.HandleCall(k, show, func(b *board, ctx context.Context, n int) (int, error) {
		b.N += n
		return b.N, shown.Publish(ctx, b.N)
	})
	sessionproc.HandleCast(k, advance, func(b *board, ctx context.Context, again time.Duration) error {
		b.N++
		advance.After(ctx, again, again)
		return shown.Publish(ctx, b.N)
	})
	sessionproc.HandleCall(k, closeUp, func(_ *board, ctx context.Context, why sessionproc.Reason) (sessionproc.None,
		error) {
		sessionproc.FromContext(ctx).Stop(why)
		return none, nil
	})
	sessionproc.HandleCall(k, smash, func(*board, context.Context, sessionproc.None) (sessionproc.None,
		error) {
		panic("smashed")
	})
	sessionproc.HandleCall(k, mind, func(_ *board, ctx context.Context, id string) (sessionproc.None, error) {
		sessionproc.Watch(ctx, id, ended)
		return none, nil
	})
	sessionproc.HandleCast(k, ended, func(b *board, _ context.Context,
		e sessionproc.Ended) error {
		b.Obits = append(b.Obits, e)
		return nil
	})
	sessionproc.HandleCall(k, obits, func(b *board, _ context.Context, _ sessionproc.None) ([]sessionproc.Ended, error) {
		return b.Obits, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	return k
}

func newFlickers() sessionproc.AnyKind {
	k := sessionproc.NewKind(flickers, startsAs[player],
		sessionproc.KindConfig{IdleTimeout: 2 * time.Second})
	sessionproc.HandleEvent(k, flickered, func(*player) int { return 1 })
	return k
}
