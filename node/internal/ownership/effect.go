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

	// Shelve: keep the sealed copy of Session, as it was sealed, as a backup, or as a
	// standby if Replicated. The member that it was sent to is gone. A standby that is here
	// already is joined with it.
	Shelve

	// RunBackups: this node may run the partition's backups and standbys. Each that has
	// no running copy here, and for which Machine.FullFor holds, starts to run; each that a
	// running copy dominates is dropped. A backup runs under a new incarnation. The driver
	// calls Promoted for a standby, which has a new incarnation from its first change on.
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

	// Report: send To what standbys of the partition are here, or that of Session, under
	// ID and Round; To calls Reported. Nothing is given away.
	Report

	// Tend: call Machine.Tend for the replicated sessions of the partition that are here,
	// or of all partitions if Partition is NoPartition.
	Tend

	// Purge: forget the partition's standbys.
	Purge

	// Disclaim: this node holds the partition no more. Forget what was reported to it: the
	// sessions may end elsewhere.
	Disclaim
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
	// Replicated: the copy is of a session whose kind has standbys.
	Replicated bool
	Round      uint64  // Report
	Message    Message // Send
}
