package nodeotel

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// spanNames are the names of spans, so that none is made anew for each. They are bounded, as kinds and methods
// may be names that a client has made up: those beyond the bound are made each time.
type spanNames struct {
	known atomic.Pointer[knownNames]
	mu    sync.Mutex // is held to add to known, which is replaced then
}

// knownNames does not change.
type knownNames struct {
	first []spanName // the few that came first, which are compared faster than a map finds them
	all   map[spanKey]string
}

type spanName struct {
	spanKey
	name string
}

type spanKey struct{ op, kind, method string }

const (
	maxNames   = 1000
	firstNames = 8
)

// of returns "cart/add" of a call or cast, "cart start" of an operation without a method, "add" or "start" where
// the kind is not known.
func (n *spanNames) of(op, kind, method string) string {
	k := spanKey{op, kind, method}
	known := n.known.Load()
	if known == nil {
		return n.add(k)
	}
	for i := range known.first {
		if known.first[i].spanKey == k {
			return known.first[i].name
		}
	}
	if name, there := known.all[k]; there {
		return name
	}
	if len(known.all) >= maxNames {
		return k.name()
	}
	return n.add(k)
}

func (n *spanNames) add(k spanKey) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	name := k.name()
	after := &knownNames{all: map[spanKey]string{}}
	if known := n.known.Load(); known != nil {
		after.first, after.all = slices.Clone(known.first), maps.Clone(known.all)
	}
	if _, there := after.all[k]; !there && len(after.first) < firstNames {
		after.first = append(after.first, spanName{k, name})
	}
	after.all[k] = name
	n.known.Store(after)
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
