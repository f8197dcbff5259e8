package sessionproc

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// KindConfig configures all sessions of a kind. The zero value is ready to use. node.Start refuses
// negative values, except of Dedup, with an error that names the field. Durations above 100 years count as 100 years.
type KindConfig struct {
	// StartOnCall sets MethodConfig.StartOnCall for all methods and notices of the kind except
	// those with MethodConfig.NoStart. The kind's argument must be None. Give NoStart to the
	// methods that a page polls: after the end of a session they then get ErrNotFound, and do not
	// start an empty session.
	StartOnCall bool
	// IdleTimeout ends a session, with ReasonExpired, that was not used for that long, on whatever
	// nodes it was meanwhile. Calls, casts, Ensure and Touch are use, from their arrival until the
	// handler returns; so is the start until the start function returns. Timers, Broadcasts,
	// subscriptions and messages of NoTouch methods are not use, and those that wait end with the
	// session. The time is monotonic and includes time during which the program stands still.
	//
	// A session ends at most a second late. A node ends at most 1.25 million sessions in a second.
	// Sessions whose time was over while the program stood still, or while the node had no quorum,
	// end over the following 5 s unless they are used. 0: no timeout.
	IdleTimeout time.Duration
	// Lifetime ends a session, with ReasonExpired, that long after its start function began, even if
	// it is in use: the present handler finishes, and waiting requests get ErrTerminated. The
	// remaining time moves with the session. It begins again if the session passes through a node
	// whose release or kind has no Lifetime. It is as exact as IdleTimeout. 0: no limit.
	Lifetime time.Duration
	// MaxSessions bounds the sessions of this kind on one node. A start beyond it fails with
	// ErrTooManySessions, and a session that would move to the node stays where it is. A session
	// that is renewed is always accepted, so there may be more by the number of such sessions. 0:
	// no limit.
	MaxSessions int
	// StartRate bounds the starts of this kind on one node, per second. Further starts fail with
	// ErrRateLimited. StartBurst starts may come at once. A start of an existing session does not
	// count. Defaults: 0, no limit, and StartRate.
	StartRate, StartBurst int
	// MessageRate bounds the calls and casts to one session, per second. Further ones fail with
	// ErrRateLimited. MessageBurst of them may come at once, and again after a move. Timers do not
	// count. Defaults: 0, no limit, and MessageRate.
	MessageRate, MessageBurst int
	// RenewRate bounds the renewals of one session (node.Node.Renew), per second, including failed
	// ones. Further renewals fail with ErrRateLimited. RenewBurst renewals may come at once. The
	// count moves with the session to its new IDs and nodes. Defaults: 1 and 10.
	RenewRate, RenewBurst int
	// MaxTimers bounds the timers of one session. Setting one more fails with ErrTooManyTimers,
	// unless it replaces a timer of the same name. A timer counts until its last message is
	// handled. Default: 1,000.
	MaxTimers int
	// MaxTasks bounds the tasks of one session (Go). Beginning one more fails with ErrTooManyTasks. A task
	// counts until its result is handled. Default: 16.
	MaxTasks int
	// MaxState bounds the encoded state, in bytes. It is checked when a state is encoded: a session
	// with a larger state does not move, and does not restart with its last state. At most 64 MiB,
	// which is the default, or 1 MiB with Replicas.
	MaxState int
	// WarnState is the size of an encoded state, in bytes, above which the log has a warning, once
	// for a session and at most ten times in a minute, and node.NodeStats.Large counts the session.
	// Sizes are checked when a state is encoded anyway, and by samples: the states of used sessions
	// are encoded between two messages, up to WarnState, each at most every 5 s, and for at most a
	// five-hundredth of the time of one core. The log also warns of a state that cannot be encoded.
	// Default: 1 MiB, or MaxState if that is less.
	WarnState int
	// Restart says what happens to a session whose handler has panicked. The caller gets ErrCrashed
	// in any case. Messages in the mailbox wait for the restart, within their deadlines. A restarted
	// session has a new incarnation. Default: RestartNever.
	Restart RestartPolicy
	// RestartBudget bounds the restarts of one session within RestartWindow. With one more crash the
	// session ends, with ReasonCrashed. The first restart is immediate, the second waits 20 ms, and
	// each later one twice as long as the previous one, at most 5 s. A move of the session does not
	// wait for a restart, and the count moves along. RestartBudget is at most 1,000. Defaults: 5 and
	// one minute.
	RestartBudget int
	RestartWindow time.Duration
	// SlowHandler is how long a handler may run before the log has a warning with its name and
	// stack, and node.NodeStats.Slow counts it, once, up to 200 ms later. The handler runs on. Default: 10 s.
	SlowHandler time.Duration
	// Mailbox bounds the messages that wait for one session. Further calls and casts, from all
	// nodes, wait for a place in one line, in the order of their arrival: a call until its ctx ends,
	// a cast until its ctx ends or, without a deadline, for 50 ms. Then they fail with
	// ErrOverloaded. They fail at once if MethodConfig.NoWait says so, or if 4,096 messages or 16
	// MiB wait in the line. Default: 1,024.
	Mailbox int
	// MailboxBytes bounds the same messages in bytes of their data. An empty mailbox accepts a
	// message of any size. Default: 1 MiB.
	MailboxBytes int
	// Schema is the version of the state's format. It travels with the state. A node whose kind has
	// a lower Schema refuses the session, which stays where it is. A node with a higher Schema calls
	// Migrate. Raise Schema when an earlier release must not get the new states. To add or remove a
	// field you need not raise it, because a release keeps fields that it does not know. A rollback
	// to a lower Schema ends sessions together with the last node that has the higher one: see
	// "Releases" in the package documentation.
	Schema int
	// Migrate converts an encoded state of the earlier schema from into one of this Schema. The
	// encoding is that of MarshalState, or msgpack. MigrateFrom makes a Migrate from a function
	// between types. Migrate may keep and change the slice. It runs in goroutines of the library,
	// outside of sessions, for several states at a time. If it returns an error or panics, the
	// session is refused and stays where it is. nil: states of earlier schemas are decoded as they
	// are. It needs a Schema above 0.
	Migrate func(from int, state []byte) ([]byte, error)
	// EndOnMove is for sessions that cannot move because they hold a file or a socket. When another
	// node takes the partition of such a session, the session ends with ReasonMoved after its
	// present handler, and OnEnd is called. Requests in its mailbox get ErrTerminated. Later requests
	// go to the other node, which has no such session until one is started. The session cannot be
	// renewed. Default: false, sessions move.
	EndOnMove bool
	// Dedup bounds the replies that a session keeps for calls with keys; see WithKey. Of more within
	// two minutes, or of more than 256 KiB, it forgets the oldest. They move beside the state and do
	// not count for MaxState. At most 65,536. Negative: none, and such calls fail with ErrUnsupported.
	// Calls that nodes make again by themselves have keys too (see Replicas). A session drops their
	// replies when they are over, so it needs a Dedup of the calls from other nodes that are under way
	// at once. Of more, some are not made again. Negative: none are. Default: 256.
	Dedup int
	// Replicas is how many other nodes keep a copy of each session, its standbys, so that the session
	// survives the crash of as many nodes at once. An answer that tells of a change waits until the
	// standbys have it: the reply to a call unless the method is ReadOnly or Relaxed, the result of
	// a start, of a renewal and of an end, labels, and published values. If a node with the session
	// crashes, a standby goes on with it within seconds, with a new incarnation, and calls under way
	// wait for that.
	//
	// A node makes a call or a start again, once and within its deadline, if the node that had it
	// crashes. It has its effects once: the copy of the session has the reply together with what the call
	// has changed. If the copy has neither, the handler runs again; the calls that it makes with its ctx
	// get the replies that they got before, as with WithKey. If the second node crashes too, as it does
	// if the handler is the reason, or if the reply was larger than 1 KiB, the call fails, and
	// MaybeExecuted reports true. A Terminate is made again as well, of a session of any kind if the
	// node has kinds with Replicas; a cast is not: a crash loses casts that no record has yet, and so
	// does a cut of the network in which the session goes on at a standby.
	// A call from the session's own node is lost with its caller.
	//
	// In a smaller cluster a session has as many standbys as there are other nodes;
	// see MinReplicas. A state of a kind with Replicas is encoded after each burst of messages that
	// change it, and so MaxState is 1 MiB unless it is set.
	//
	// A session that seems to end the processes of its nodes is quarantined: it was handling a first
	// message, or being told of its arrival, when the last two nodes crashed that went on with it,
	// within RestartWindow, or 10 minutes for a kind that does not restart. Its messages get an
	// ErrUnavailable which says so, until node.Node.Terminate or its IdleTimeout or Lifetime ends it;
	// OnEnd is not called.
	//
	// Replicas is at most 3 and cannot be combined with EndOnMove. 0: none, sessions are lost with
	// their node.
	Replicas int
	// MinReplicas is the number of standbys without which a change fails, with an ErrUnavailable for
	// which MaybeExecuted reports true: the state has changed, but a crash may undo that. ReadOnly
	// methods go on. At most Replicas. 0: a session goes on with the standbys that there are.
	MinReplicas int
}

const (
	defaultWarnState = 1 << 20

	// The defaults of RenewRate and RenewBurst.
	defaultRenewRate  = 1
	defaultRenewBurst = 10

	defaultDedup = 256
	maxDedup     = 1 << 16

	maxReplicas = 3
	// replicatedState is the default of MaxState for kinds with Replicas.
	replicatedState = 1 << 20

	// maxRestartBudget bounds how many times of restarts a session remembers.
	maxRestartBudget = 1000
)

func (c KindConfig) withDefaults() (KindConfig, error) {
	if err := c.checkNegative(); err != nil {
		return c, err
	}
	switch {
	case c.Mailbox > math.MaxInt32:
		return c, fmt.Errorf("KindConfig.Mailbox is %d, above %d", c.Mailbox, math.MaxInt32)
	case c.MailboxBytes > math.MaxInt32:
		return c, fmt.Errorf("KindConfig.MailboxBytes is %d, above %d", c.MailboxBytes, math.MaxInt32)
	}
	for _, d := range []*time.Duration{&c.IdleTimeout, &c.Lifetime, &c.RestartWindow, &c.SlowHandler} {
		*d = min(*d, core.Ages)
	}
	if c.RestartBudget > maxRestartBudget {
		return c, fmt.Errorf("KindConfig.RestartBudget is %d, above %d", c.RestartBudget, maxRestartBudget)
	}
	if c.Restart > RestartFresh {
		return c, fmt.Errorf("KindConfig.Restart is %d, none of RestartNever, RestartLastState and RestartFresh", c.Restart)
	}
	if c.MaxState > core.MaxState {
		return c, fmt.Errorf("KindConfig.MaxState is %d, above %d", c.MaxState, core.MaxState)
	}
	if err := c.checkReplicas(); err != nil {
		return c, err
	}
	if c.MaxState == 0 && c.Replicas > 0 {
		c.MaxState = replicatedState
	}
	if c.WarnState == 0 {
		c.WarnState = defaultWarnState
		if c.MaxState > 0 {
			c.WarnState = min(c.WarnState, c.MaxState)
		}
	}
	if c.Dedup > maxDedup {
		return c, fmt.Errorf("KindConfig.Dedup is %d, above %d", c.Dedup, maxDedup)
	}
	if c.Dedup == 0 {
		c.Dedup = defaultDedup
	}
	if c.RenewRate == 0 {
		c.RenewRate = defaultRenewRate
	}
	if c.RenewBurst == 0 {
		c.RenewBurst = defaultRenewBurst
	}
	if c.RestartBudget == 0 {
		c.RestartBudget = 5
	}
	if c.RestartWindow == 0 {
		c.RestartWindow = time.Minute
	}
	if c.MaxTimers == 0 {
		c.MaxTimers = 1000
	}
	if c.MaxTasks == 0 {
		c.MaxTasks = 16
	}
	if c.SlowHandler == 0 {
		c.SlowHandler = 10 * time.Second
	}
	if c.Mailbox == 0 {
		c.Mailbox = 1024
	}
	if c.MailboxBytes == 0 {
		c.MailboxBytes = 1 << 20
	}
	return c, nil
}

// checkReplicas refuses settings of standbys that cannot be.
func (c KindConfig) checkReplicas() error {
	switch {
	case c.Replicas > maxReplicas:
		return fmt.Errorf("KindConfig.Replicas is %d, above %d", c.Replicas, maxReplicas)
	case c.MinReplicas > c.Replicas:
		return fmt.Errorf("KindConfig.MinReplicas is %d, above Replicas, which is %d", c.MinReplicas, c.Replicas)
	case c.Replicas > 0 && c.EndOnMove:
		return errors.New("KindConfig has both Replicas and EndOnMove: a session that cannot move has no standby")
	}
	return nil
}

// checkNegative refuses negative values.
func (c KindConfig) checkNegative() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"IdleTimeout", int64(c.IdleTimeout)},
		{"Lifetime", int64(c.Lifetime)},
		{"MaxSessions", int64(c.MaxSessions)},
		{"Mailbox", int64(c.Mailbox)},
		{"MailboxBytes", int64(c.MailboxBytes)},
		{"Schema", int64(c.Schema)},
		{"StartRate", int64(c.StartRate)},
		{"StartBurst", int64(c.StartBurst)},
		{"MessageRate", int64(c.MessageRate)},
		{"MessageBurst", int64(c.MessageBurst)},
		{"RenewRate", int64(c.RenewRate)},
		{"RenewBurst", int64(c.RenewBurst)},
		{"MaxTimers", int64(c.MaxTimers)},
		{"MaxTasks", int64(c.MaxTasks)},
		{"WarnState", int64(c.WarnState)},
		{"MaxState", int64(c.MaxState)},
		{"RestartBudget", int64(c.RestartBudget)},
		{"RestartWindow", int64(c.RestartWindow)},
		{"SlowHandler", int64(c.SlowHandler)},
		{"Replicas", int64(c.Replicas)},
		{"MinReplicas", int64(c.MinReplicas)},
	} {
		if f.value < 0 {
			return fmt.Errorf("KindConfig.%s is negative (%d)", f.name, f.value)
		}
	}
	return nil
}

// MethodConfig configures one method or notice. The zero value is ready to use.
type MethodConfig struct {
	// ReadOnly promises that the handler does not change the state. The library may then repeat a
	// call whose outcome is unknown. Messages of the method do not count as changes, neither when
	// two copies of a session meet nor for RestartLastState.
	ReadOnly bool
	// NoTouch keeps messages of the method from counting as use of the session.
	NoTouch bool
	// StartOnCall makes a call or cast to a missing session start the session with the zero
	// argument, within the limits of any start. An untyped request starts a session of the node's
	// DefaultKind. The release of the session's owner decides. A session that is restarting, or that
	// continues under another ID (ErrRenewed), is not missing. A session that has expired, or that
	// was lost with its node, is missing; see sessionhttp.IsNew.
	StartOnCall bool
	// NoStart excludes the method or notice from the kind's StartOnCall. For a missing session the
	// error is ErrNotFound.
	NoStart bool
	// NoWait makes a call or cast fail with ErrOverloaded at once if the mailbox is full, instead of
	// waiting for a place. The release of the session's node decides.
	NoWait bool
	// ShareRequest avoids the copy of a request from the session's own node. Neither side may change
	// the request afterwards. Types with times, or with fields that have the tag `msgpack:"-"`,
	// behind pointers, slices or maps are copied all the same, since otherwise the handler would
	// get another value than from a remote node.
	ShareRequest bool
	// Timeout bounds calls whose ctx has no deadline, in place of the node's CallTimeout. It needs
	// the kind on the calling node. At most 100 years. 0: CallTimeout.
	Timeout time.Duration
	// Relaxed lets a call of a kind with Replicas be answered before the standbys have its change,
	// which a crash may then undo. Casts are never waited for. It cannot be combined with ReadOnly: a
	// ReadOnly method waits for no change but those that it may have seen.
	Relaxed bool
}
