package sessionproc_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Games = sessionproc.KindOf[sessionproc.None]("game")
	Goal  = sessionproc.MethodOf[string, Score](Games, "goal")

	// Scored is published whenever the score has changed.
	Scored = sessionproc.EventOf[Score](Games, "scored")
)

// Score is what subscribers get.
type Score struct{ Home, Away int }

// Game is the state.
type Game struct{ Score Score }

func (g *Game) goal(ctx context.Context, team string) (Score, error) {
	if team == "home" {
		g.Score.Home++
	} else {
		g.Score.Away++
	}
	return g.Score, Scored.Publish(ctx, g.Score)
}

// score is the value that a new subscriber begins with.
func (g *Game) score() Score { return g.Score }

// A subscriber gets the present value, then every change in order, and at last the
// reason why the session has ended. It may be on any node.
func ExampleEvent() {
	ctx := context.Background()
	k := sessionproc.NewKind(Games, func(context.Context, sessionproc.None) (*Game, error) { return &Game{}, nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Goal, (*Game).goal)
	sessionproc.HandleEvent(k, Scored, (*Game).score)
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{k}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := Games.Start(ctx, n, "final", sessionproc.None{}); err != nil {
		log.Fatal(err)
	}

	sub, err := Scored.Subscribe(ctx, n, "final", sessionproc.SubscribeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	for _, team := range []string{"home", "away", "home"} {
		if _, err := Goal.Call(ctx, n, "final", team); err != nil {
			log.Fatal(err)
		}
	}
	if err := n.Terminate(ctx, "final"); err != nil {
		log.Fatal(err)
	}

	for u, err := range sub.All(ctx) {
		var ended *sessionproc.Ended
		switch {
		case errors.As(err, &ended):
			fmt.Println("ended:", ended.Reason)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println(u.Value.Home, u.Value.Away)
		}
	}
	// Output:
	// 0 0
	// 1 0
	// 1 1
	// 2 1
	// ended: terminated
}
