package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A wordy session says too much: in its errors, its panics, and when it stops.
var (
	wordies  = sessionproc.KindOf[string]("wordy")
	wordyDo  = sessionproc.MethodOf[string, sessionproc.None](wordies, "do")
	wordyNow = sessionproc.EventOf[int](wordies, "now")
	errWordy = sessionproc.NewError("wordy", speech)
)

var speech = strings.Repeat("ab€", 1<<20)

func speak(ctx context.Context, how string) error {
	switch how {
	case "error":
		return errors.New(speech)
	case "named":
		return errWordy
	case "wrapped":
		return fmt.Errorf("%s: %w", speech, errWordy)
	case "panic":
		panic(speech)
	case "stop":
		sessionproc.FromContext(ctx).Stop(sessionproc.Reason(speech))
	}
	return nil
}

func newWordies() sessionproc.AnyKind {
	type none = sessionproc.None
	k := sessionproc.NewKind(wordies, func(ctx context.Context, how string) (*struct{}, error) {
		return &struct{}{}, speak(ctx, how)
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, wordyDo, func(_ *struct{}, ctx context.Context, how string) (none, error) {
		return none{}, speak(ctx, how)
	})
	sessionproc.HandleEvent(k, wordyNow, func(*struct{}) int { return 1 })
	return k
}

// What is too long to travel is cut, and is the same to callers and subscribers here and
// on another node.
func TestLongErrorsAndReasonsAreCutAlikeHereAndThere(t *testing.T) {
	for _, how := range []string{"error", "named", "wrapped", "panic", "stop"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := tuned(t, 2, silent, newWordies)
				here, there := saidOf(t, c, 0, how), saidOf(t, c, 1, how)
				require.Equal(t, here, there)
				for _, text := range here {
					require.Less(t, len(text), 5<<10)
					require.NotContains(t, text, "MaxFrame")
					require.NotContains(t, text, "\uFFFD")
					if how == "error" {
						require.Contains(t, text, "ab€")
					}
				}
			})
		})
	}
}

// saidOf returns what is said to node i about a session of node 0: to a caller, and to a
// subscriber once the session has ended.
func saidOf(t *testing.T, c *nodetest.Cluster, i int, how string) (texts []string) {
	id := ownedBy(c, 0, fmt.Sprint("wordy", i, "-"))
	require.NoError(t, wordies.Start(t.Context(), c.Node(i), id, ""))
	sub, err := wordyNow.Subscribe(t.Context(), c.Node(i), id, sessionproc.SubscribeOptions{})
	require.NoError(t, err)
	defer sub.Close()
	said := func(err error) {
		if op, ok := errors.AsType[*sessionproc.OpError](err); ok {
			require.Equal(t, how == "named" || how == "wrapped", errors.Is(err, errWordy))
			err = op.Err
		}
		texts = append(texts, referenced.ReplaceAllString(fmt.Sprint(err), ""))
	}
	said(answers(t, how, func(ctx context.Context) error { _, err := wordyDo.Call(ctx, c.Node(i), id, how); return err }))
	if how != "stop" {
		said(answers(t, how, func(ctx context.Context) error {
			return wordies.Start(ctx, c.Node(i), ownedBy(c, 0, fmt.Sprint("other", i, "-")), how)
		}))
	}
	if how == "stop" || how == "panic" {
		var last error
		for _, last = range sub.All(t.Context()) {
		}
		end, ok := errors.AsType[*sessionproc.Ended](last)
		require.True(t, ok, "%.300v", last)
		texts = append(texts, string(end.Reason))
	}
	return texts
}
