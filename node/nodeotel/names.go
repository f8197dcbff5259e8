package nodeotel

import (
	"maps"
	"sync"
	"sync/atomic"
)

// spanNames are the names of spans, so that none is made anew for each. They are bounded, as kinds and methods
// may be names that a client has made up: those beyond the bound are made each time.
type spanNames struct {
	known atomic.Pointer[map[spanKey]string]
	mu    sync.Mutex // is held to add to known, which is replaced then
}

type spanKey struct{ op, kind, method string }

const maxNames = 1000

// of returns "cart/add" of a call or cast, "cart start" of an operation without a method, "add" or "start" where
// the kind is not known.
func (n *spanNames) of(op, kind, method string) string {
	k := spanKey{op, kind, method}
	if known := n.known.Load(); known != nil {
		if name, there := (*known)[k]; there {
			return name
		}
		if len(*known) >= maxNames {
			return k.name()
		}
	}
	name := k.name()
	n.mu.Lock()
	defer n.mu.Unlock()
	more := map[spanKey]string{}
	if known := n.known.Load(); known != nil {
		more = maps.Clone(*known)
	}
	more[k] = name
	n.known.Store(&more)
	return name
}

func (k spanKey) name() string {
	switch {
	case k.method != "" && k.kind != "":
		return k.kind + "/" + k.method
	case k.method != "":
		return k.method
	case k.kind != "":
		return k.kind + " " + k.op
	}
	return k.op
}
