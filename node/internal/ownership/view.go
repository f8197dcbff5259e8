package ownership

// A Level is what a node knows about a member. A member that is not in a View
// is Unknown: the node has not heard of it yet, or never will again.
type Level uint8

const (
	Unknown  Level = iota
	Serving        // takes partitions
	Draining       // hands its partitions over, and still gets claims
	Left           // has left in good order
	Dead           // declared dead, but may return
	Gone           // dead, and the delay for its return is over
)

// present reports whether a member takes part: its promise is needed.
func (l Level) present() bool { return l == Serving || l == Draining }

// away reports whether a member takes no part in anything any more. Dead is
// neither present nor away: nothing is expected of the member, and nothing
// about it is forgotten.
func (l Level) away() bool { return l == Unknown || l == Left || l == Gone }

// A Seen is a member as a node sees it.
type Seen struct {
	Name     string // slot/boot; never used twice
	Level    Level
	Standbys bool // keeps standbys: its release knows them, and a kind of it has some
}

// A View is the cluster as a node sees it at one moment. The machine keeps the
// View, so the caller must not change it afterwards.
//
// A member that left or died stays in the views, as Left or Gone, for as long
// as a message of it may still arrive or it may return. Once a View leaves it
// out, the machine forgets all about it. Until then a member that is Gone counts as one that may
// have standbys: the ends of their sessions are not buried.
type View struct {
	// Members are sorted by name. They include this node unless it is joining, and no
	// other joining member.
	Members  []Seen
	Owners   []string // the owner of each partition, "" if no member is serving
	NoQuorum bool     // too few members are seen: claim nothing

	Standbys bool // this node keeps standbys
	// Heirs returns the members that may keep standbys of a partition, in the order in which
	// this node would choose them. Members that are not Serving do no harm. It is called while
	// the view is the present one, concurrently, and only if Standbys is set.
	Heirs func(p int) []string
}
