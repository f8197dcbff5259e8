package nodetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestContextRecordsLabelsAndBroadcasts(t *testing.T) {
	ctx, s := nodetest.Context(t)
	require.Empty(t, s.Labels())
	self := sessionproc.FromContext(ctx)
	require.NoError(t, self.SetLabel("user", "ann"))
	require.Equal(t, map[string]string{"user": "ann"}, s.Labels())

	reach, err := remind.Broadcast(ctx, self.Cluster(), reminder{})
	require.NoError(t, err)
	require.Zero(t, reach)
	require.Len(t, s.Sent(), 1)
	require.Empty(t, s.Sent()[0].ID)
	var got reminder
	require.NoError(t, s.Sent()[0].Decode(&got))
	require.Equal(t, reminder{}, got)
}
