package sessionproc

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyStatesThatCanBeLargeAreWeighed(t *testing.T) {
	type short struct{ N [20]int }
	type tall struct{ Down []*tall }
	ref := KindOf[None]("sizes")
	require.False(t, NewKind(ref, func(context.Context, None) (*short, error) { return nil, nil },
		KindConfig{}).core.Grows)
	require.True(t, NewKind(ref, func(context.Context, None) (*short, error) { return nil, nil },
		KindConfig{WarnState: 100}).core.Grows)
	require.True(t, NewKind(ref, func(context.Context, None) (*tall, error) { return nil, nil }, KindConfig{}).core.Grows)
	require.False(t, NewKind(ref, func(context.Context, None) (*tall, error) { return nil, nil },
		KindConfig{EndOnMove: true}).core.Grows)
}
