package cluster_test

import (
	"io"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// A bare memberlist that has got in (name and keys are right) but is none of us.
func TestAStrangerIsNeverInTheView(t *testing.T) {
	for name, meta := range map[string][]byte{"nothing": nil, "garbage": []byte("\x01garbage"),
		"too much": make([]byte, 512)} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *sim) {
				all := s.nodes(2)
				cfg := memberlist.DefaultLANConfig()
				cfg.Name, cfg.Label = "stranger", "test"
				cfg.Transport, cfg.LogOutput = s.net.listen(addr(9)), io.Discard
				cfg.Delegate = metaOnly(meta)
				list, err := memberlist.Create(cfg)
				require.NoError(t, err)
				t.Cleanup(func() { _ = list.Shutdown() })
				_, err = list.Join(addrs(1, 2))
				require.NoError(t, err, "memberlist lets it in")
				s.wait(time.Minute)
				require.Equal(t, []string{"s1", "s2"}, names(all[0]))
				require.Equal(t, []string{"s1", "s2"}, names(all[1]))
				late := s.start(s.joining(3))
				s.wait(time.Second)
				require.Len(t, late.View().Members, 3, "it disturbs nobody")
			})
		})
	}
}

type metaOnly []byte

func (m metaOnly) NodeMeta(int) []byte             { return m }
func (metaOnly) NotifyMsg([]byte)                  {}
func (metaOnly) GetBroadcasts(int, int) [][]byte   { return nil }
func (metaOnly) LocalState(bool) []byte            { return nil }
func (metaOnly) MergeRemoteState(_ []byte, _ bool) {}
