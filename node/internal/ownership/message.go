package ownership

import "sync"

// Kind says what a Message means. The numbers travel between nodes: they are
// permanent, and new ones are added at the end.
type Kind uint8

// The messages of a partition, and last the two of a node that leaves. Each is
// idempotent: it may be lost, come twice, or come late and out of order.
const (
	_       Kind = iota
	Claim        // claimer to each member it sees: I want the partition. ID, Names: everybody the claimer sees, itself included
	NotYet       // no. Flag: that ID is used up, take a fresh one
	Promise      // it is yours in my view too, I take no part in it any more, and I have copies. Filter: of them
	Done         // the same, and I have none but those in Kept
	Pull         // holder to promiser: I have the token, send what you have
	Active       // holder to source: I have Session, whatever became of it here
	Refused      // holder to source: no. Flag: the ID is void; else it is for Cause, of which Names say more to the driver
	Forgot       // source to holder: I have processed your Active
	Offer        // I have something of the partition and it is yours in my view: ask me. ID: your highest claim that I have promised, Rel: the one I have promised now
	Find         // holder to source: somebody calls Session, send it next or say that you have none
	Absent       // I have no copy of Session in any state and can make none under your ID
	Here         // Session stays here, it was refused under this ID. Form
	Bye          // I want to leave: do you know all of Names? ID counts the questions; no partition
	Known        // I do; no partition
	numKinds
)

// NoPartition is the Partition of messages and effects that concern the node.
const NoPartition = -1

// Form is what a copy of a session is. The numbers travel between nodes.
type Form uint8

const (
	Running Form = iota // runs, or ran until it was sealed
	Backup              // never runs by itself: the next holder takes the best copy
	Ended               // a tombstone: the session has ended, and no older copy may come back
)

// Kept is a session that stays where it is, because the holder refused it for
// cause or it could not be encoded.
type Kept struct {
	Session string
	Backup  bool // does not run there either
}

func (k Kept) of() string { return k.Session }

func (k Kept) spare() *sync.Pool { return &spareKept }

// Message goes from one machine to another. Fields that its Kind does not name are
// zero. Slices are shared between messages: read only.
type Message struct {
	Kind      Kind
	Partition int
	ID        uint64 // of a claim; a boot never uses one twice in a partition
	Rel       uint64
	Session   string
	Form      Form
	Flag      bool
	Cause     string
	Filter    Filter
	Names     []string // sorted
	Kept      []Kept   // sorted by session
}
