package sessionproc

import (
	"fmt"
	"time"
)

// ages is longer than any session lives. A sum of a few durations of that length and of the time
// since the program started does not overflow.
const ages = 100 * 365 * 24 * time.Hour

// The largest encodings that move: of a state, and of a session with all that belongs to it.
const (
	maxState    = 64 << 20
	maxSnapshot = maxState + 16<<20
)

var errSnapshot = fmt.Errorf("more than %d bytes, the limit (MaxSnapshot)", maxSnapshot)

// kindSettings are the fields of KindConfig, with their defaults.
type kindSettings struct {
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
}

// methodSettings are the fields of MethodConfig.
type methodSettings struct {
	ReadOnly     bool
	NoTouch      bool
	StartOnCall  bool
	NoStart      bool
	NoWait       bool
	ShareRequest bool
	Timeout      time.Duration
}

// eventSettings are the fields of EventConfig, with their defaults.
type eventSettings struct {
	Keep      int
	KeepBytes int
}

const defaultKeepBytes = 64 << 10
