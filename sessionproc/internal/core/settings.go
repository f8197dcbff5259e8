package core

import (
	"fmt"
	"time"
)

// Ages is longer than any session lives. A sum of a few durations of that length and of the time
// since the program started does not overflow.
const Ages = 100 * 365 * 24 * time.Hour

// The largest encodings that move: of a state, and of a session with all that belongs to it.
const (
	MaxState    = 64 << 20
	MaxSnapshot = MaxState + 16<<20
)

var ErrSnapshot = fmt.Errorf("more than %d bytes, the limit (MaxSnapshot)", MaxSnapshot)

// KindSettings are the fields of KindConfig, with their defaults.
type KindSettings struct {
	StartOnCall   bool
	IdleTimeout   time.Duration
	Lifetime      time.Duration
	MaxSessions   int
	StartRate     int
	StartBurst    int
	MessageRate   int
	MessageBurst  int
	RenewRate     int
	RenewBurst    int
	MaxTimers     int
	MaxTasks      int
	MaxState      int
	WarnState     int
	Restart       uint8 // a RestartPolicy
	RestartBudget int
	RestartWindow time.Duration
	SlowHandler   time.Duration
	Mailbox       int
	MailboxBytes  int
	Schema        int
	Migrate       func(from int, state []byte) ([]byte, error)
	EndOnMove     bool
	Dedup         int
	Replicas      int
	MinReplicas   int
}

// MethodSettings are the fields of MethodConfig.
type MethodSettings struct {
	ReadOnly     bool
	NoTouch      bool
	StartOnCall  bool
	NoStart      bool
	NoWait       bool
	ShareRequest bool
	Timeout      time.Duration
	Relaxed      bool
}

// EventSettings are the fields of EventConfig, with their defaults.
type EventSettings struct {
	Keep      int
	KeepBytes int
}

const DefaultKeepBytes = 64 << 10
