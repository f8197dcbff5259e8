// Package relay is the contract of two kinds that call each other, and a caller
// of them. It imports no handler: a web tier could import it and link none of
// the sessions' code.
package relay

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Pings and Pongs are the kinds. A ball goes from a session of one to a session
// of the other.
var (
	Pings = sessionproc.KindOf[sessionproc.None]("ping")
	Pongs = sessionproc.KindOf[sessionproc.None]("pong")
	Ping  = sessionproc.MethodOf[Ball, int](Pings, "ping")
	Pong  = sessionproc.MethodOf[Ball, int](Pongs, "pong")
)

// Ball is passed along its route.
type Ball struct {
	Route []string // the sessions that it goes to next
	Hits  int      // how many have had it
}

// Volley starts two sessions of kind ping and one of kind pong, and plays the
// ball from the first ping through pong to the second. It returns how many have
// had it.
func Volley(ctx context.Context, c sessionproc.Caller, first, pong, second string) (int, error) {
	for _, ping := range []string{first, second} {
		if err := Pings.Start(ctx, c, ping, sessionproc.None{}); err != nil {
			return 0, err
		}
	}
	if err := Pongs.Start(ctx, c, pong, sessionproc.None{}); err != nil {
		return 0, err
	}
	return Ping.Call(ctx, c, first, Ball{Route: []string{pong, second}})
}
