package ownership

// Do says what an Effect asks the driver to do.
type Do uint8

const (
	_ Do = iota

	// Send Message to the member To. It may be lost: it is asked for again for as
	// long as it is needed. All messages for one member that come of one event, or
	// of some events in a row, can travel in one (AppendMessages).
	Send

	// Transfer: send the sealed copy of Session to To, wholly, under ID. Asked for
	// again at every Retry until To has answered; a driver that knows a transfer to
	// be under way on a connection that is up skips it.
	Transfer

	// HandOver: from now on seal the partition's copies for To under ID, a few at a
	// time: see Machine.Seal.
	HandOver

	// Resume: Session, sealed, is what its Form says again: it runs on, or is a
	// backup again. If Kept, it stays here and is not offered to Seal under ID again.
	Resume

	// Drop: To has Session and runs it. Forget it.
	Drop

	// Shelve: the member to which Session was sent has gone. The sealed copy, as it
	// was sealed, is a backup now.
	Shelve

	// RunBackups: this node may run the partition's backups. Each that has no
	// running copy here, and for which Machine.FullFor holds, starts to run under a
	// new incarnation; each that a running copy dominates is dropped.
	RunBackups

	// Seek: Machine.Absent if no copy of Session, in any state, is here (a session
	// whose start function still runs is a copy); else Seal it next.
	Seek

	// Wake: what Machine.Who answers for the partition's sessions may have changed.
	Wake

	// Bury: the tombstone of Session is not needed any more.
	Bury

	// End: the deadline has come. Every copy of the partition that is here and not
	// sent to another member goes to the store, or ends.
	End
)

// Effect is what a machine asks its driver to do, in the order given.
type Effect struct {
	Do        Do
	Partition int
	To        string // a member
	ID        uint64
	Session   string
	Form      Form
	Kept      bool
	Message   Message // Send
}
