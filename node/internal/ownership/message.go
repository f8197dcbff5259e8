package ownership

import "sync"

// A Kind says what a Message means. The numbers travel between nodes. They are
// permanent, and new ones are added at the end.
type Kind uint8

// The kinds of messages. All but Bye and Known concern a partition. A claimer wants the token, a
// holder has it, and a source has copies that move. Every message is idempotent: it may be lost,
// come twice, come late, and come out of order. ID is that of the claim, and \"I\" the sender.
const (
	_ Kind = iota

	// Claim: claimer to each member that it sees. I want the partition. Names are all
	// members that I see, and I. Flag: I shall ask for standbys (Recover).
	Claim
	// NotYet: answer to Claim and to Recover. I do not promise. Flag: ID is used up, take a
	// fresh one.
	NotYet
	// Promise: answer to Claim. The partition is yours in my view too, I take no part in
	// it any more, and I have copies. Filter is made of them.
	Promise
	// Done: like Promise, but I have no copies except those in Kept, which stay here.
	Done
	// Pull: holder to source. I have the token, send your copies.
	Pull
	// Active: holder to source. I have taken Session.
	Active
	// Refused: holder to source. I have not taken Session. Flag: ID is void. Otherwise
	// Cause says why, and Names are details for the source's driver.
	Refused
	// Forgot: source to holder. I have processed your Active.
	Forgot
	// Offer: I have copies of the partition, and it is yours in my view, so claim it from
	// me. ID is your highest claim that I have promised, Rel the one that I promise now. Flag:
	// I have other copies than standbys.
	Offer
	// Find: holder to source. Session is called; send it next, or answer that you have none.
	Find
	// Absent: answer to Find. I have no copy of Session in any state, and can make none
	// under your ID. If you keep standbys, I have none of Session either, and only you may
	// write one here.
	Absent
	// Here: answer to Find. Session stays here, as it was refused under this ID. Form says
	// what it is.
	Here
	// Bye: I want to leave. Do you know all of Names? ID counts the questions.
	Bye
	// Known: answer to Bye. I know them.
	Known
	// Recover: holder to each member that it asks, when none of them has copies any more. From
	// now on only I write standbys of the partition at you, but for those of Kept, which only
	// their Keepers write. Report yours to me. Names are the keepers. Rel counts the messages
	// of this kind under ID whose contents differ.
	Recover

	numKinds
)

// NoPartition is the Partition of messages and effects that concern the node.
const NoPartition = -1

// A Form says what a copy of a session is. The numbers travel between nodes.
type Form uint8

const (
	Running Form = iota // runs, or ran until it was sealed
	Backup              // never runs by itself: the next holder takes the best copy
	Ended               // a tombstone: the session has ended, and no older copy may come back
)

// A Kept is a session that stays where it is, because the holder refused it for
// a cause or because it could not be encoded.
type Kept struct {
	Session string
	Backup  bool   // the copy is a backup, so the session runs nowhere
	Keeper  string // in Recover: the member where it stays
}

func (k Kept) sessionID() string { return k.Session }

func (k Kept) spare() *sync.Pool { return &spareKept }

// A Message goes from one machine to another. Fields that the description of
// its Kind does not mention are zero. Messages share slices, which must not be
// changed.
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

// An Incoming is a session that has arrived completely from another member.
type Incoming struct {
	From       string
	ID         uint64
	Session    string
	Form       Form
	Replicated bool // its kind has standbys
}
