package engine

import (
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// MaxSnapshot is the size, in bytes, of the largest session that moves: its state together with its
// queued casts, its timers and the values that it has published.
const MaxSnapshot = core.MaxSnapshot

// A snapshot is a session on its way to another node, without its ID, which travels beside it. It
// is encoded as msgpack, a map by field name, between nodes of one release or of different ones:
//
//   - A zero field is left out, and a field that is missing is zero.
//   - A reader skips a field that it does not know, unless Critical names the field. Then the
//     reader refuses the session, which stays where it is. So a release that adds something which
//     a session must not lose names it in Critical.
//   - A name is never used again for something else. Aliases is reserved.
type snapshot struct {
	Critical []string `msgpack:",omitempty"`
	Kind     string
	Schema   int    `msgpack:",omitempty"` // KindConfig.Schema on the node that encoded State
	Number   uint64 // of the incarnation
	Boot     uint64
	Version  []byte            // see Version.Append
	State    []byte            // see core.EncodeState
	Age      time.Duration     // since the start of the session
	Taken    int64             // the node's time in ns since 1970; Age does not include the way since
	Idle     time.Duration     // since the last use
	Lifetime time.Duration     `msgpack:",omitempty"` // the rest of KindConfig.Lifetime; 0: no Lifetime
	Casts    []core.SavedCast  `msgpack:",omitempty"` // the queued casts, in order
	Others   [][]byte          `msgpack:",omitempty"` // snapshots of copies that are not merged yet
	Timers   []savedTimer      `msgpack:",omitempty"` // in the order in which they are due
	Restarts []time.Duration   `msgpack:",omitempty"` // how long ago each restart was
	Argument *savedArgument    `msgpack:",omitempty"` // for RestartFresh
	Labels   map[string]string `msgpack:",omitempty"` // critical: a label can end the session

	Subscriptions *savedPublisher `msgpack:",omitempty"`
	Watches       []savedWatch    `msgpack:",omitempty"`

	// of Version, which incarnations were starts; see Version.AppendLife
	Life []byte `msgpack:",omitempty"`
	// of Version, what sessions of the ID had seen that ended before; see Version.Append
	Before      []byte          `msgpack:",omitempty"`
	Renewals    time.Duration   `msgpack:",omitempty"` // until past renewals no longer count; see renewals
	Renewed     *savedRenewed   `msgpack:",omitempty"` // the session goes on under another ID: no state
	Renewing    *savedRenewing  `msgpack:",omitempty"` // it is about to go on under another ID; see renewing
	Large       *savedLarge     `msgpack:",omitempty"` // critical: where the snapshot is; only Version beside it
	Dedup       *savedWindow    `msgpack:",omitempty"` // the replies to calls with keys
	Trials      []time.Duration `msgpack:",omitempty"` // how long ago they began; see trial
	Quarantined bool            `msgpack:",omitempty"`
	Outline     bool            `msgpack:",omitempty"` // critical: no node can have the session; see Table.Outline
	Tasks       []savedTask     `msgpack:",omitempty"` // the session waits for their results

	replies *window    // for Dedup, or nil
	at      int64      // when they are saved, since epoch
	unmet   []*process // for Others
}

// The values of core.SavedCast.Own.
const (
	ownWatch = 1
	ownTick  = 2
	ownTask  = 3 // of a task, see savedTask
)

type savedTimer struct {
	Name    string `msgpack:",omitempty"` // "" for a timer without a name
	Method  string
	Raw     bool `msgpack:",omitempty"`
	Payload []byte
	Left    time.Duration // until the timer is due; negative if it is overdue
	At      int64         `msgpack:",omitempty"` // of Notice.At, in ns since 1970: it counts, and not Left
	Every   time.Duration `msgpack:",omitempty"` // 0 for a timer that fires once
	Waits   int           `msgpack:",omitempty"` // which of Casts is its tick, counted from 1; 0: none
	Trace   []byte        `msgpack:",omitempty"` // as SavedCast.Trace
}

// A savedLarge is a reference to a snapshot on another node.
type savedLarge struct {
	Node string // the member that has the snapshot
	Key  []byte // the key under which that member keeps it
	Size int    // bytes
}
