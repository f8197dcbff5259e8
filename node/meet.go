package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/roster"
)

// meetMembers is the goroutine that asks new members for their release, until
// each has answered or the driver stops.
func (n *Node) meetMembers() {
	again := time.NewTimer(aliveInterval)
	defer again.Stop()
	for {
		select {
		case <-n.met:
		case <-again.C:
		case <-n.life.Context().Done():
			return
		}
		if n.meet(n.life.Context()) {
			again.Stop()
		} else {
			again.Reset(aliveInterval)
		}
	}
}

// meet asks the members whose release is not known, concurrently, and logs once
// for each how it differs from this node. It returns when each has answered or
// the time is over, and reports whether all have answered.
func (n *Node) meet(ctx context.Context) (complete bool) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	view := n.routes.Load().View
	n.roster.Keep(view)
	var all sync.WaitGroup
	var mu sync.Mutex
	met := map[string]*roster.Release{} // guarded by mu; by name
	complete = true                     // guarded by mu
	for _, m := range view.Members {
		if m.Name() == n.self.Name() || n.roster.Release(m.Name()) != nil {
			continue
		}
		all.Go(func() {
			r, err := n.askRelease(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				complete = false
				n.log.Debug("a member has not told its release", "peer", m.Name(), "err", err)
			case n.roster.Learn(m.Name(), r):
				met[m.Name()] = r
			}
		})
	}
	all.Wait()
	n.tellDifferences(met)
	return complete
}

// tellDifferences logs how members differ from this node. Members with the same
// differences share a line.
func (n *Node) tellDifferences(met map[string]*roster.Release) {
	groups := map[string][]string{} // names of members, by what they differ in
	of := map[string]Difference{}
	for name, r := range met {
		if diff, differs := differs(n.roster.Own(), r); differs {
			key := fmt.Sprint(diff)
			groups[key], of[key] = append(groups[key], name), diff
		}
	}
	for key, names := range groups {
		slices.Sort(names)
		diff := of[key]
		args := []any{"peers", roster.Shortened(names)}
		if len(diff.OnlyHere) > 0 {
			args = append(args, "only_here", roster.Shortened(diff.OnlyHere))
		}
		if len(diff.OnlyThere) > 0 {
			args = append(args, "only_there", roster.Shortened(diff.OnlyThere))
		}
		kinds := slices.Sorted(maps.Keys(diff.Schemas))
		for _, kind := range kinds[:min(len(kinds), roster.MaxNamed)] {
			s := diff.Schemas[kind]
			args = append(args, "schema_of_"+kind, fmt.Sprintf("%d here, %d there", s[0], s[1]))
		}
		if diff.DefaultKinds != [2]string{} {
			here, there := diff.DefaultKinds[0], diff.DefaultKinds[1]
			args = append(args, "default_kind", fmt.Sprintf("%q here, %q there", here, there))
		}
		n.log.Warn("members were given other kinds than this node: "+
			"requests fail where the owner of their session lacks what they name", args...)
	}
}

// differences returns the differences of all members whose release is known,
// sorted by name.
func (n *Node) differences(view *cluster.View) (all []Difference) {
	for _, m := range view.Members {
		if r := n.roster.Release(m.Name()); r != nil {
			if diff, differs := differs(n.roster.Own(), r); differs {
				diff.Name = m.Name()
				all = append(all, diff)
			}
		}
	}
	slices.SortFunc(all, func(a, b Difference) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
