package sessionproc_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A deaf Caller has only Deliver.
type deaf struct{}

func (deaf) Deliver(context.Context, string, sessionproc.Message) error {
	return sessionproc.ErrNotFound
}

// Where no engine is part of the program, a subscription fails and nothing panics.
func TestSubscribeWithoutAnEngineFails(t *testing.T) {
	newFeeds := core.NewFeeds
	defer func() { core.NewFeeds = newFeeds }()
	event := sessionproc.EventOf[int](sessionproc.KindOf[sessionproc.None]("k"), "changed")
	core.NewFeeds = nil
	_, err := event.Subscribe(t.Context(), deaf{}, "a", sessionproc.SubscribeOptions{})
	require.ErrorIs(t, err, sessionproc.ErrUnsupported)
	require.ErrorContains(t, err, "deaf cannot subscribe in a program without package node")
	core.NewFeeds = newFeeds // the examples of this package import package node
	_, err = event.Subscribe(t.Context(), deaf{}, "a", sessionproc.SubscribeOptions{})
	require.ErrorIs(t, err, sessionproc.ErrNotFound)
}
