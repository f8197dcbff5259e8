package ownership

import "sync"

// A Machine is the ownership of all partitions at one node. Its methods must
// not be called concurrently, with one exception: questions only read. They may
// run at the same time as one another, and those about a partition while the
// machine handles events of other partitions. All methods are questions but
// Seal, Commit, and those that return effects. Each method that returns effects
// reuses the slice, which is valid until the next call. The package
// documentation says what a driver must do before and after a call.
type Machine struct {
	shared
	parts   []partition
	join    joining
	quorate bool     // the node sees enough members to claim
	bye     farewell // the questions to the members whether they know one another
	now     turn     // reused by every turn, so that none is allocated
	out     []Effect // reused by every call
}

// joining is the state of a node that joins. A joiner claims nothing until a
// member has told it which members exist, and it has heard of all of these
// itself. Otherwise it could claim a partition without asking the member that
// holds it.
type joining struct {
	over    bool     // the node may claim
	welcome []string // the members that the answering member sees
	waits   bool     // welcome has come, and this node has not heard of all its members
}

// A farewell records which of the members that stay have confirmed that they
// know all others. A draining node waits for that: each of two members that
// have never heard of each other could take its partitions. A node that has
// standbys asks the same, see shared.knownToAll.
type farewell struct {
	number    uint64   // of the question; answers to an earlier one do not count
	names     []string // the members that the question is about
	known     []string // the members that know all of names
	abandoned bool     // the deadline has passed
}

// An acquaintance is a member and those that it has confirmed to know.
type acquaintance struct {
	member string
	names  []string
}

// shared is the state that all partitions of a node have in common.
type shared struct {
	self     string
	members  []Seen
	present  []string             // the present members without this node
	asks     []string             // the Names of a claim: present and dead members, and this node
	claims   bool                 // this node may claim
	draining bool                 // this node drains
	keeps    bool                 // this node and all present members keep standbys
	stopped  bool                 // they kept some until the present view
	plain    []string             // the members of the view that keep none
	heirs    func(p int) []string // see View
	known    []acquaintance       // what other members know, as far as they have confirmed it
	eligible []string             // the serving members that all others know: standbys may be there
	relieved []string             // members of which this node has confirmed that it knows all that they know
	serving  int                  // how many members serve, without this node
	aims     uint64               // grows when the targets of any session may have changed, see aim
	off      rule                 // the rules that a test has switched off
	heard    struct {
		names []string // the Names of the last claim that was received
		all   bool     // they include all members that this node sees
	}
}

// A turn is one event at one partition. The handler of the event changes the
// state, then applyRules draws the consequences, and close emits effects for
// what is new. So handlers need not know which messages their change causes.
type turn struct {
	*shared
	*partition
	out    []Effect
	again  bool // emit every message that is waited for, not only new ones
	woke   bool // the answers of who may have changed in a way that outline does not show
	before outline
}

// An outline is the part of a partition's state that others may notice. close
// compares the outlines of the beginning and the end of a turn.
type outline struct {
	tok     token
	full    bool
	owner   string
	rel     release
	kept    int  // how many copies stay here
	cleared bool // see partition.cleared
	sealing int  // how many copies may be sealed
	offer   offer
}

// An offer says which message of kind Offer is due.
type offer struct {
	to   string // "" if none is due
	seen uint64 // the highest claim of to that this node has promised
	rel  uint64 // the claim of to that is promised now, or 0
	more bool   // not only standbys
}

// A token says whether this node holds a partition.
type token uint8

const (
	none     token = iota
	claiming       // the node has asked for the token
	held
)

// A partition is the state of one partition at one node, without what all
// partitions share. Its slices are sorted, so that equal states have equal
// contents. The explorer of the tests relies on that, and so do binary
// searches.
type partition struct {
	number  int
	owner   string       // in the present view
	tok     token        // not none excludes a promise: rel.to is "" then
	last    uint64       // the last claim id; a boot never uses one twice in a partition
	rel     release      // the member that the partition is promised to
	relAsks []string     // the members that the claimer of rel asks
	peers   []peer       // members that this node has claimed from or promised to, by name
	running int          // copies that run or start, without sealed ones
	backups int          // backups, without sealed ones
	kept    roll[Kept]   // the copies among running and backups that stay here, under rel
	sealed  roll[sealed] // copies on their way to rel.to or an earlier claimer
	tombs   []string     // sessions that ended while an older copy may exist
	tally   tally

	ends     []string      // replicated sessions that ended here, as long as a standby may exist
	standbys roll[standby] // what this node keeps of sessions that run elsewhere
	fences   roll[standby] // sessions without a standby here, and who alone may write one
	lead     string        // who alone writes standbys of all other sessions here, "" if anybody
	writers  []writers     // of standbys: how many each member writes
	epoch    uint64        // how often the partition was claimed or promised here; voids burials
}

// A standby is the copy of a session that runs at another member. Its contents and version stay
// with the driver.
type standby struct {
	session string
	writer  string // who alone may replace or discard it, "" if anybody
}

// writers says how many standbys here a member writes.
type writers struct {
	name  string
	count int
}

// A release is a promise that this node has given.
type release struct {
	to       string // the claimer, "" if nothing is promised
	id       uint64 // of the claim
	pulled   bool   // the claimer holds the token and has asked for the copies
	recovers bool   // the claimer will ask for standbys
}

// A sealed is a copy that has stopped running in order to move.
type sealed struct {
	session string
	to      string
	id      uint64
	form    Form
	sent    bool // the last chunk may have left, and only the target decides from now on
	// replicated: without its target the copy is a standby, not a backup.
	replicated bool
}

// A tally counts peers by state, so that questions need not loop over them.
// applyRules counts anew in each turn.
type tally struct {
	asked    int
	promised int
	pulling  int
	dirty    int // peers that have not reported their standbys
	loose    int // peers from which something was taken, or where something stays
}

// A state says how far the claim to a member has got. The usual way is from
// asked over promised and pulling to done, and where standbys are kept to clean. askAgain goes
// back to asked, under a new id.
type state uint8

const (
	unasked    state = iota
	asked            // a claim is out
	promised         // the member takes no part any more
	pulling          // the member sends its copies
	done             // the member has no copies except those that stay there
	recovering       // the member is asked for its standbys
	clean            // the member has reported them, and obeys this node alone
)

// A peer is another member as one partition knows it. It combines two roles:
// the member that this node claims from (ask, id, filter, absent, kept, acc)
// and the member that claims from this node (seen).
type peer struct {
	name   string
	ask    state
	id     uint64         // of the claim in ask
	filter Filter         // the sessions that the peer had when it promised, under id
	absent []string       // sessions that the peer does not have, under id
	kept   roll[Kept]     // sessions that stay at the peer, under id
	seen   uint64         // the highest claim of the peer that was promised here
	round  uint64         // of Recover, under id
	my     uint64         // the claim of this node that the peer promised last: see Stamp
	rid    uint64         // the claim under which the peer had no copies left last; 0 once this node has promised it one
	acc    roll[accepted] // sessions taken from the peer
}

// An accepted is a session that this node took from a peer. It is remembered
// until the peer has confirmed Active, so that a repeated Transfer is not taken
// twice.
type accepted struct {
	session   string
	id        uint64
	confirmed bool // the peer has answered Forgot
	owed      bool // Active waits until the session's standbys are made
}

func (s sealed) sessionID() string { return s.session }

func (s sealed) spare() *sync.Pool { return &spareSealed }

func (s standby) sessionID() string { return s.session }

func (s standby) spare() *sync.Pool { return &spareStandby }

func (a accepted) sessionID() string { return a.session }

func (a accepted) spare() *sync.Pool { return &spareAccepted }
