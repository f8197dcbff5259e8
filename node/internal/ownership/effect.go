package ownership

// A Do says what an Effect asks the driver to do.
type Do uint8

const (
	_ Do = iota

	// Send: send Message to the member To. It may be lost: Retry emits it again for
	// as long as it is needed. The messages of several events for one member can
	// travel together (AppendMessages).
	Send

	// Transfer: send the whole sealed copy of Session to To, under ID. Each Retry
	// emits it again until To has answered. A driver skips it while a transfer of the
	// copy is in progress on a live connection.
	Transfer

	// HandOver: from now on seal the partition's copies for To under ID, a few at a
	// time: see Machine.Seal.
	HandOver

	// Resume: unseal Session. By its Form it runs on, or is a backup again. If Kept
	// is set, the session stays here, and the driver does not Seal it under ID again.
	Resume

	// Drop: forget Session, which To has and runs.
	Drop

	// Shelve: keep the sealed copy of Session, as it was sealed, as a backup. The
	// member that it was sent to is gone.
	Shelve

	// RunBackups: this node may run the partition's backups. Each that has no
	// running copy here, and for which Machine.FullFor holds, starts to run under a
	// new incarnation; each that a running copy dominates is dropped.
	RunBackups

	// Seek: call Machine.Absent if no copy of Session in any state is here; else Seal
	// Session next. A session whose start function still runs is a copy.
	Seek

	// Wake: the answers of Machine.Who for the partition's sessions may have changed.
	Wake

	// Bury: forget the tombstone of Session.
	Bury

	// End: the deadline has passed. Store or end each copy of the partition that is
	// here and was not sent to another member.
	End
)

// An Effect is one thing that a machine asks its driver to do. The driver
// executes effects in the order given.
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
