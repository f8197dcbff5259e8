package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
)

var errNoWelcome = errors.New("the members that were found do not answer, or cannot reach this node at its " +
	"advertised address")

// beWelcomed makes this node serve: a member has to see it and to reach it,
// before it serves, and then to say whom it sees, before it takes partitions.
// Where nobody is, it begins a cluster.
func (n *Node) beWelcomed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(n.cfg.JoinTimeout, helloTimeout))
	defer cancel()
	begun, serving := time.Now(), false
	var last error
	for {
		hosts, first, alone := n.hosts()
		switch {
		case len(hosts) == 0 && n.strangersMayCome(begun):
		case len(hosts) == 0 && (serving || alone || first && time.Since(begun) > firstOf):
			return n.serveAs(n.driver.Bootstrap)
		case !serving:
			var evicted []string
			if evicted, last = n.ask(ctx, hosts, helloReach); last == nil {
				serving = true
				n.putOut(evicted...)
				n.awaitSeen(ctx, hosts)
				if err := n.serveAs(nil); err != nil {
					return err
				}
				continue
			}
		default:
			var names []string
			if names, last = n.ask(ctx, hosts, helloWelcome); last == nil {
				n.driver.Welcome(names)
				if n.awaitReady(ctx) {
					return nil
				}
				last = errors.New("this node has not heard of all members yet")
			}
		}
		if !lifetime.Pause(ctx, helloPause) {
			return errors.Join(fmt.Errorf("join: %w: %w", errNoWelcome, ctx.Err()), last)
		}
	}
}

// serveAs makes this node serving in its own view, and tells the members. Then it calls then,
// unless that is nil.
func (n *Node) serveAs(then func()) error {
	if err := n.cluster.SetState(cluster.Serving); err != nil {
		return err
	}
	n.reroute(n.cluster.View())
	n.tell(cluster.Serving)
	if then != nil {
		then()
	}
	return nil
}

// hosts are the members that can welcome this one, serving ones first. first:
// none of those that join too has a smaller name. alone: there is nobody.
func (n *Node) hosts() (hosts []cluster.Member, first, alone bool) {
	first = true
	view := n.cluster.View()
	for _, m := range view.Members {
		switch {
		case m.Name() == n.self.Name():
		case m.State == cluster.Joining:
			first = first && n.self.Name() < m.Name()
		default:
			hosts = append(hosts, m)
		}
	}
	slices.SortStableFunc(hosts, func(a, b cluster.Member) int { return int(a.State) - int(b.State) })
	return hosts, first, len(view.Members) == 1
}

// strangersMayCome reports whether gossip names somebody who may turn out to be a
// member: one that is answers long before.
func (n *Node) strangersMayCome(begun time.Time) bool {
	return len(n.cluster.View().Strangers) > 0 && time.Since(begun) < helloTimeout
}

// ask puts a question to hosts until one answers.
func (n *Node) ask(ctx context.Context, hosts []cluster.Member, question byte) (names []string, err error) {
	err = errors.New("nobody serves yet")
	for _, m := range hosts {
		within, cancel := context.WithTimeout(ctx, helloTimeout)
		names, err = n.question(within, m, []byte{question})
		cancel()
		if err == nil {
			return names, nil
		}
	}
	return nil, err
}

// awaitReady waits a while until this node has heard of all that the host sees.
// It may never: a member that has just died is asked for again.
func (n *Node) awaitReady(ctx context.Context) bool {
	for range welcomeTries {
		if n.driver.Ready() {
			return true
		}
		if !lifetime.Pause(ctx, helloPause) {
			break
		}
	}
	return false
}
