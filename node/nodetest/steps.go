package nodetest

import (
	"context"
	"strconv"
	"strings"

	"github.com/sessionproc/sessionproc/node/internal/teststep"
)

// A Step is something that a node has just done, at which a crash must lose nothing that was acknowledged. See
// Config.OnStep.
type Step string

// A session that has standbys makes a record when it has changed, and answers its callers once they have it.
const (
	// RecordSent: the node has given a record to its connection to the peer.
	RecordSent = Step(teststep.RecordSent)
	// RecordStored: the node has stored a record of the peer's. Its answer has not left.
	RecordStored = Step(teststep.RecordStored)
	// RecordAcked: the answer of the peer has come to the node. No caller has been answered.
	RecordAcked = Step(teststep.RecordAcked)
)

// A standby that is needed no more, or is of a session that has ended, is discarded.
const (
	// DiscardSent: the node has given it to its connection that the peer is to discard a standby.
	DiscardSent = Step(teststep.DiscardSent)
	// DiscardDone: the node has discarded a standby of the peer's. Its answer has not left.
	DiscardDone = Step(teststep.DiscardDone)
	// DiscardAcked: the answer of the peer has come to the node.
	DiscardAcked = Step(teststep.DiscardAcked)
)

// A session moves.
const (
	// SessionSealed: the node has encoded a session for the peer, and handles no more of its messages.
	SessionSealed = Step(teststep.SessionSealed)
	// SessionCommitted: the node is about to send the last byte of the session to the peer, which decides from now
	// on whether it runs there.
	SessionCommitted = Step(teststep.SessionCommitted)
	// ActiveSent: the node has a session of the peer's, and its standbys too. It is about to tell the peer, which
	// then forgets the session.
	ActiveSent = Step(teststep.ActiveSent)
	// ActiveHeard: the node has heard that, and has not forgotten the session.
	ActiveHeard = Step(teststep.ActiveHeard)
)

// When the cluster changes, owners of sessions ask for standbys. Sessions of a node that is lost go on from them.
const (
	// RecoverSent: the node is about to ask the peer for its standbys of a partition.
	RecoverSent = Step(teststep.RecoverSent)
	// RecoverHeard: the node has been asked, and has done nothing about that.
	RecoverHeard = Step(teststep.RecoverHeard)
	// ReportSent: the node has given to its connection to the peer what standbys it has.
	ReportSent = Step(teststep.ReportSent)
	// ReportHeard: the node has heard of standbys of the peer, and has not noted them.
	ReportHeard = Step(teststep.ReportHeard)
	// FetchSent: the node has asked the peer for the contents of standbys.
	FetchSent = Step(teststep.FetchSent)
	// FetchHeard: the node has been asked for them. Its answer has not left.
	FetchHeard = Step(teststep.FetchHeard)
	// FetchAnswered: the content of a standby has come to the node, and is not noted.
	FetchAnswered = Step(teststep.FetchAnswered)
	// SessionPromoted: a session goes on at the node from its standbys. It has no new ones. There is no peer.
	SessionPromoted = Step(teststep.SessionPromoted)
)

// watched returns a ctx to start node i with, so that OnStep is told of its steps.
func (c *Cluster) watched(ctx context.Context, i int) context.Context {
	tell := c.cfg.OnStep
	if tell == nil {
		return ctx
	}
	return teststep.With(ctx, func(s teststep.Step, peer string) { tell(Step(s), i, indexOf(peer)) })
}

// indexOf returns the index of a node by its name, which is its slot and its boot; -1: there is no name.
func indexOf(name string) int {
	of, _, _ := strings.Cut(name, "/")
	i, err := strconv.Atoi(strings.TrimPrefix(of, slot(0)[:1]))
	if err != nil {
		return -1
	}
	return i
}
