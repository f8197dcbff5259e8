package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// TerminateLabelled ends all sessions that have the label (Session.SetLabel), on all
// nodes, as Terminate does: "log out everywhere". It returns when they have gone,
// and about how many they were. Each node remembers it for a minute: a session that
// comes to it by hand-over with that label, and was started before, ends on
// arrival; so does one that was started up to a second later, as clocks differ. No
// other that is started later, or gets the label later, is concerned.
//
// If nodes do not answer until ctx ends, or for CallTimeout if it has no deadline,
// the error is a *PartialError that names them: try again. A node that is taken for
// dead and lives behind a cut is not known and not named; it is told when it is seen
// again within the minute. Sessions of lost nodes that have standbys are waited for
// until they go on, and end then.
//
// In a handler of such a session, and in what such a handler waits for, the handler's
// ctx ends; the others end all the same, and that session is counted and not waited for:
// it ends when its handler returns. So is a session whose handler is in
// TerminateLabelled itself, and may wait for this one.
func (n *Node) TerminateLabelled(ctx context.Context, key, value string) (ended int, err error) {
	if n == nil {
		return 0, errNil
	}
	if err := engine.CheckLabel(key, value); err != nil {
		return 0, fmt.Errorf("node: terminate labelled: %w", err)
	}
	_, done, err := engine.Pending(ctx, 0, engine.Labelled)
	if err != nil {
		return 0, err
	}
	defer done()
	ctx, cancel := n.withQueryTimeout(ctx)
	defer cancel()
	if chain, _ := engine.CallChain(ctx, ""); chain != nil && ctx.Err() == nil { // that handler's ctx may end by this
		deadline, _ := ctx.Deadline()
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline)
		defer cancel()
	}
	asked := map[string]bool{}
	missing := new(PartialError)
	// A node gets no session before all see it, so whoever got one from a node that
	// has answered is seen now.
	for {
		all, err := n.holders()
		if err != nil {
			return ended, err
		}
		var members []cluster.Member
		for _, m := range all {
			if !asked[m.Name()] {
				asked[m.Name()] = true
				members = append(members, m)
			}
		}
		if len(members) == 0 {
			return ended, missing.err()
		}
		more := askEach(ctx, n, members, &query{What: askEnd, Key: key, Value: value}, func(_ cluster.Member, t tally) {
			ended += t.Done
		})
		for name, err := range more.Nodes {
			missing.add(name, err)
		}
	}
}

// movingAtOnce is how many sessions that are on their way are followed at a time.
const movingAtOnce = 16

// endLabelled ends the sessions of a label that are here, and follows those that are
// on their way.
func (n *Node) endLabelled(ctx context.Context, q *query) (tally, error) {
	if err := n.driver.AwaitRecovery(ctx); err != nil {
		return tally{}, err
	}
	ended, moving, err := n.table.EndLabelled(ctx, q.Key, q.Value, q.Ago, q.waiting...)
	if err != nil {
		return tally{}, err
	}
	var mu sync.Mutex
	var errs []error // guarded by mu
	together(len(moving), movingAtOnce, func(i int) {
		// not found: it ended on arrival
		if err := n.Terminate(ctx, moving[i]); err != nil && !errors.Is(err, sessionproc.ErrNotFound) {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		}
	})
	if len(errs) > 0 {
		return tally{}, fmt.Errorf("%d sessions that are on their way: %w", len(errs), errs[0])
	}
	return tally{Done: ended + len(moving)}, nil
}

// passOn tells members that come into view of the labels whose sessions were ended
// in the last minute: they may have been behind a cut.
func (n *Node) passOn(last, next *route.Routes) {
	recalled := n.table.Recalled()
	if len(recalled) == 0 || last.View == nil {
		return
	}
	was := make(map[string]bool, len(last.View.Members))
	for _, m := range last.View.Members {
		was[m.Name()] = true
	}
	for _, m := range next.View.Members {
		if was[m.Name()] || m.Name() == n.self.Name() || m.State == cluster.Joining {
			continue
		}
		n.life.Go(func() { n.tellRecalled(m, recalled) })
	}
}

func (n *Node) tellRecalled(m cluster.Member, recalled []engine.Recalled) {
	begun := time.Now()
	for _, r := range recalled {
		ctx, cancel := context.WithTimeout(n.life.Context(), n.cfg.CallTimeout)
		_, err := ask[tally](ctx, n, m, &query{What: askEnd, Key: r.Key, Value: r.Value, Ago: r.Ago + time.Since(begun)})
		cancel()
		if err != nil {
			n.log.Warn("a member that was away has not heard which sessions are to end", "peer", m.Name(), "err", err)
			return
		}
	}
}
