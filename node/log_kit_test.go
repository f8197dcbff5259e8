package node_test

import (
	"github.com/sessionproc/sessionproc/internal/logtest"
	"github.com/sessionproc/sessionproc/node"
)

// logged keeps what nodes log.
type logged struct{ logtest.Log }

// of0 makes a cluster's Tune that keeps what node 0 logs.
func (l *logged) of0(more func(i int, cfg *node.Config)) func(i int, cfg *node.Config) {
	return func(i int, cfg *node.Config) {
		if i == 0 {
			cfg.Logger = l.Logger()
		}
		if more != nil {
			more(i, cfg)
		}
	}
}
