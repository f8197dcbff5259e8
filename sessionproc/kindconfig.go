package sessionproc

import (
	"fmt"
	"math"
	"time"
)

// KindConfig sets what holds for all sessions of a kind. Its zero value works.
// Negative values are refused by node.Start with an error that names the field;
// durations beyond 100 years count as 100 years.
type KindConfig struct {
	// StartOnCall is MethodConfig.StartOnCall for all methods and notices of the kind
	// but those with MethodConfig.NoStart. It is for kinds whose sessions begin with
	// nothing: the kind's argument must be None. A page's polls get NoStart, so that they
	// see ErrNotFound when the session has ended and do not bring up an empty one.
	StartOnCall bool
	// IdleTimeout ends a session, with ReasonExpired, when it has had no call,
	// cast, Ensure or Touch for that long, wherever it was meanwhile. A message is
	// use until its handler returns, and the start until the start function does.
	// Timers, Broadcasts, subscriptions and messages of NoTouch methods are no use:
	// what of these waits then ends with the session. Time is counted by the monotonic clock, while
	// the process stands still too. It ends within a second of its time, at most
	// 1.25 million sessions of a node in a second; those whose time was up while
	// the process stood still or the node had no quorum end over the 5 s that
	// follow, unless they are used. 0: never.
	IdleTimeout time.Duration
	// Lifetime ends a session, with ReasonExpired, that long after its start
	// function began, in spite of use: its present handler finishes, requests that
	// wait get ErrTerminated. It moves with the session as the time that is left,
	// but not through a node of a release without it or whose kind has none: there
	// it is counted anew. It is as exact as IdleTimeout. 0: never.
	Lifetime time.Duration
	// MaxSessions bounds the sessions of this kind on one node; a start beyond
	// it fails with ErrTooManySessions, and sessions of other nodes stay there. A
	// session that is renewed needs no place, on whatever node it goes on: there may
	// be more by as many as have come so. 0: no bound.
	MaxSessions int
	// StartRate bounds the starts of this kind on one node, per second; further
	// ones fail with ErrRateLimited. StartBurst of them may come at once. A start
	// of a session that is there does not count. Defaults 0: no bound, and
	// StartRate.
	StartRate, StartBurst int
	// MessageRate bounds the calls and casts to one session, per second; further
	// ones fail with ErrRateLimited. MessageBurst of them may come at once, also
	// after a move. Timers do not count. Defaults 0: no bound, and MessageRate.
	MessageRate, MessageBurst int
	// RenewRate bounds the renewals of one session (node.Node.Renew), per second, those
	// included that fail; further ones fail with ErrRateLimited. RenewBurst of them may
	// come at once. They are counted from ID to ID and from node to node. Defaults 1
	// and 10.
	RenewRate, RenewBurst int
	// MaxTimers bounds the timers of one session: setting one more fails with
	// ErrTooManyTimers, unless it takes the place of one of its name. A timer counts
	// until its last message is handled. Default 1,000.
	MaxTimers int
	// MaxState bounds the encoded state, in bytes, up to the constant MaxState,
	// which is the default. It is looked at when a state is encoded: a session
	// with a larger one does not move, and does not restart with its last state.
	MaxState int
	// WarnState is the size of an encoded state, in bytes, above which its session is
	// warned of in the log, once and at most ten in a minute, and counted
	// (node.NodeStats.Large). It is found when a state is encoded anyway, and by
	// samples: states of sessions that were used are encoded between two messages,
	// for at most a five-hundredth of the time of one core, each at most every 5 s
	// and up to that size. What cannot be encoded is warned of too. Default 1 MiB, or
	// MaxState if that is less.
	WarnState int
	// Restart says what becomes of a session that crashes, when a handler has
	// panicked: its caller gets ErrCrashed in any case, and what waits in its
	// mailbox goes on waiting for the restart, within its deadlines. A restarted
	// session has a new incarnation. Default RestartNever.
	Restart RestartPolicy
	// RestartBudget bounds the restarts of one session within RestartWindow; both
	// travel with it. The first is at once, the second waits 20 ms, each later one
	// twice as long as the one before, at most 5 s; the move of the session does
	// not wait. With one crash more it ends, with ReasonCrashed. At most 1,000 in
	// a window. Defaults 5 and one minute.
	RestartBudget int
	RestartWindow time.Duration
	// SlowHandler is how long a handler may run before a warning with its name and stack is
	// logged and node.NodeStats.Slow counts it, once; it is seen up to 200 ms later.
	// The handler runs on. Default 10 s.
	SlowHandler time.Duration
	// Mailbox bounds the messages that wait for one session. Calls and casts beyond
	// it wait for a place, in one line for those of all nodes, in the order of
	// arrival: a call until its ctx ends, a cast until its ctx ends or, if that has
	// no deadline, for 50 ms; then they fail with ErrOverloaded, as they do at once
	// where MethodConfig.NoWait says so and when 4,096 messages or 16 MiB stand in
	// the line. Default 1,024.
	Mailbox int
	// MailboxBytes bounds the same in bytes of message data. A message larger
	// than the bound is taken by an empty mailbox only. Default 1 MiB.
	MailboxBytes int
	// Schema is the number of the state's format. It travels with the state: a
	// node whose kind has a lower one refuses the session, which stays where it
	// is; one with a higher one calls Migrate. Raise it when an earlier release
	// must not have the new states; for a field that comes or goes there is no
	// need, as fields that a release does not know are kept. A rollback to a lower
	// one ends the sessions with the last node that has the higher one: see
	// "Releases" in the package documentation.
	Schema int
	// Migrate turns a state of an earlier schema, from, as it travels (what
	// MarshalState made, or msgpack), into one of this Schema; MigrateFrom makes
	// one of a function between types. It may keep and change the slice. It runs
	// in a goroutine of the library, outside of any session and on several states
	// at a time. Its error or panic refuses the session, which stays where it is.
	// nil: states of earlier schemas decode as they are. It needs a Schema above 0.
	Migrate func(from int, state []byte) ([]byte, error)
	// EndOnMove is for sessions that cannot move, as they hold a file or a socket: one
	// whose partition another node takes ends with ReasonMoved, after its present
	// handler, and OnEnd is called. Requests that wait in its mailbox get ErrTerminated. Later ones go to the
	// other node, where the session is not found until it is started anew. It cannot be
	// renewed either. false: sessions go on at the other node.
	EndOnMove bool
}

const (
	// ages is longer than any session lives. No sum of a few durations up to it, and of
	// the time since the process began, overflows.
	ages = 100 * 365 * 24 * time.Hour

	// maxRestartBudget bounds the times of restarts that a session remembers.
	maxRestartBudget = 1000
)

func (c KindConfig) withDefaults() (KindConfig, error) {
	for _, f := range []struct {
		name  string
		value int64
	}{{"IdleTimeout", int64(c.IdleTimeout)}, {"Lifetime", int64(c.Lifetime)}, {"MaxSessions", int64(c.MaxSessions)}, {"Mailbox", int64(c.Mailbox)}, {"MailboxBytes", int64(c.MailboxBytes)}, {"Schema", int64(c.Schema)},
		{"StartRate", int64(c.StartRate)}, {"StartBurst", int64(c.StartBurst)}, {"MessageRate", int64(c.MessageRate)}, {"MessageBurst", int64(c.MessageBurst)},
		{"RenewRate", int64(c.RenewRate)}, {"RenewBurst", int64(c.RenewBurst)}, {"MaxTimers", int64(c.MaxTimers)}, {"WarnState", int64(c.WarnState)},
		{"MaxState", int64(c.MaxState)}, {"RestartBudget", int64(c.RestartBudget)}, {"RestartWindow", int64(c.RestartWindow)}, {"SlowHandler", int64(c.SlowHandler)}} {
		if f.value < 0 {
			return c, fmt.Errorf("KindConfig.%s is negative (%d)", f.name, f.value)
		}
	}
	switch {
	case c.Mailbox > math.MaxInt32:
		return c, fmt.Errorf("KindConfig.Mailbox is %d, above %d", c.Mailbox, math.MaxInt32)
	case c.MailboxBytes > math.MaxInt32:
		return c, fmt.Errorf("KindConfig.MailboxBytes is %d, above %d", c.MailboxBytes, math.MaxInt32)
	}
	for _, d := range []*time.Duration{&c.IdleTimeout, &c.Lifetime, &c.RestartWindow, &c.SlowHandler} {
		*d = min(*d, ages)
	}
	if c.RestartBudget > maxRestartBudget {
		return c, fmt.Errorf("KindConfig.RestartBudget is %d, above %d", c.RestartBudget, maxRestartBudget)
	}
	if c.Restart > RestartFresh {
		return c, fmt.Errorf("KindConfig.Restart is %d, none of RestartNever, RestartLastState and RestartFresh", c.Restart)
	}
	if c.MaxState > MaxState {
		return c, fmt.Errorf("KindConfig.MaxState is %d, above %d", c.MaxState, MaxState)
	}
	if c.WarnState == 0 {
		c.WarnState = defaultWarnState
		if c.MaxState > 0 {
			c.WarnState = min(c.WarnState, c.MaxState)
		}
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

// MethodConfig sets what holds for one method or notice. Its zero value works.
type MethodConfig struct {
	// ReadOnly: by agreement the handler changes nothing. So the library may repeat a
	// call whose outcome is unknown, and a call, cast or timer's message is no change of
	// the session: of two copies of it, and for RestartLastState.
	ReadOnly bool
	// NoTouch: the message does not count as use of the session.
	NoTouch bool
	// StartOnCall: a call or cast to a missing session starts it with the zero
	// argument, within the limits of any start. Untyped requests start one of the node's
	// DefaultKind. The release of the session's owner decides. A session that is being
	// restarted, or goes on under another ID (ErrRenewed), is not missing; one that has
	// expired, or was lost with its node, is: see sessionhttp.IsNew.
	StartOnCall bool
	// NoStart: the kind's StartOnCall does not hold for this method or notice. A missing
	// session stays missing, and the error is ErrNotFound.
	NoStart bool
	// NoWait: a call or cast that finds the mailbox full does not wait for a place,
	// but fails with ErrOverloaded at once. The session's node decides.
	NoWait bool
	// ShareRequest: a request from the session's own node is not copied. Both
	// sides agree not to change it afterwards. Types that have times or fields with
	// the tag `msgpack:"-"` behind pointers, slices or maps are copied all the same:
	// they would not be what they are from another node.
	ShareRequest bool
	// Timeout bounds calls whose ctx has no deadline, in place of the node's
	// CallTimeout, if the calling node was given the kind too. 0: CallTimeout; at
	// most 100 years.
	Timeout time.Duration
}
