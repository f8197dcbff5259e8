package ownership

const (
	maxNodes    = 4
	maxSessions = 2
)

// scope is what may happen in one exploration.
type scope struct {
	name     string
	nodes    int
	slots    []int           // of a member; nil: its own
	owners   []func(int) int // by partition: serving slots as bits → slot
	joined   int             // members 0..joined-1 are there from the start
	draining int             // and members 0..draining-1 of them are draining
	via      []int           // the seed of each member that joins; nil: any
	exist    int             // sessions 0..exist-1 run from the start
	sessions int
	parts    int  // partitions; 0 = 1
	sticky   bool // a message may come any number of times, at any time; else it comes once, unless it is lost or repeated
	maxID    uint64
	budget   budgets

	leave     bool // a draining node leaves when it may
	noJoin    bool
	seedLater bool // a seed answers a joiner before it knows it itself
	chunks    bool // sealing and committing are two steps
	talkBye   bool // Bye and Known travel; else they are instantaneous
	batch     bool // what a step sends to one node is one message
	safety    bool // do not check what must happen in the end
	noFind    bool
	unlisted  bool           // promises have no filter, as those of earlier releases
	blind     bool           // filters leave out what is sealed, wrongly
	bad       [maxNodes]bool // can never take a session
	// the slot to which draining members assign the partitions, and take them back (budget
	// assigns)
	assignTo  int
	off       rule
	d2off     bool           // a start in progress is no copy when somebody looks for it
	hellos    bool           // who is heard of counts when it was met, or another member says so
	apart     [2]int         // these two cannot meet each other; [0, 0]: all can
	older     [maxNodes]bool // counts everybody unmet and is counted unmet, and nobody hears whom it has met
	noProof   bool           // all count unmet, wrongly
	oldWord   bool           // a word is believed of who was heard to be gone, wrongly
	noWord    bool           // nobody says whom it has met
	noRetry   bool           // a diverged copy that stays elsewhere is not asked for again
	stopMerge bool           // of two copies the one with more changes wins, wrongly

	k      int            // sessions have so many standbys
	strict bool           // nothing is acknowledged with fewer
	later  bool           // nobody drains, leaves or crashes before all have joined
	plain  [maxNodes]bool // keeps no standbys, and knows nothing of them
	fills  bool           // a refusal is for want of room for a standby
	quick  bool           // check what may be decided under a lock for reading
	own    bool           // each member has its own order of heirs
	lies   []lie          // who may declare whom dead though it lives; nil: anybody
}

// budgets says how often something may happen.
type budgets struct {
	falseDeaths, crashes, drains, works, starts, fails, ends, refusals uint8
	retries, losses, repeats, deadlines, assigns, ghosts               uint8
}

// prefer is the owner table of a priority order, most wanted first.
func prefer(order ...int) func(int) int {
	return func(mask int) int {
		for _, slot := range order {
			if mask>>slot&1 == 1 {
				return slot
			}
		}
		panic("nobody serves")
	}
}

// odd is a table of three that no priority order gives.
func odd(of01, of02, of12, of012 int) func(int) int {
	table := [8]int{0, 0, 1, of01, 2, of02, of12, of012}
	return func(mask int) int { return table[mask&7] }
}

type namedTable struct {
	name  string
	owner func(int) int
}

func tables3() []namedTable {
	return []namedTable{
		{"210", prefer(2, 1, 0)}, {"012", prefer(0, 1, 2)}, {"120", prefer(1, 2, 0)},
		{"odd1", odd(1, 2, 2, 1)}, {"odd2", odd(1, 2, 2, 0)}, {"odd3", odd(1, 0, 2, 1)},
	}
}

func tables4() []namedTable {
	return []namedTable{
		{"3210", prefer(3, 2, 1, 0)}, {"0123", prefer(0, 1, 2, 3)}, {"1302", prefer(1, 3, 0, 2)},
		{"2031", prefer(2, 0, 3, 1)},
	}
}

func (s *scope) partitions() int { return len(s.owners) }
func (s *scope) part(x int) int  { return x % len(s.owners) }
func (s *scope) slot(member int) int {
	if s.slots == nil {
		return member
	}
	return s.slots[member]
}

func memberName(i int) string   { return "abcd"[i : i+1] }
func memberIndex(n string) int  { return int(n[0] - 'a') }
func sessionName(x int) string  { return "xy"[x : x+1] }
func sessionIndex(n string) int { return int(n[0] - 'x') }

// view is what a node sees, by member.
type view [maxNodes]Level

// said is what members that drain have said of the owners, by member: each odd number
// is an assignment, each even one takes it back.
type said [maxNodes]uint8

// owner is the member that should hold a partition, or -1.
func (s *scope) owner(v view, of said, p int) int {
	mask := 0
	for j := range s.nodes {
		if v[j] == Serving {
			mask |= 1 << s.slot(j)
		}
	}
	if mask == 0 {
		return -1
	}
	slot := s.owners[p](mask)
	for j := range s.nodes {
		if v[j] == Draining && of[j]%2 == 1 && mask>>s.assignTo&1 == 1 {
			slot = s.assignTo
		}
	}
	for j := s.nodes - 1; j >= 0; j-- {
		if v[j] == Serving && s.slot(j) == slot {
			return j
		}
	}
	panic("the owner does not serve")
}

func (s *scope) view(self int, v view, of said) View {
	var out View
	for j := range s.nodes {
		if v[j] != Unknown {
			out.Members = append(out.Members, Seen{memberName(j), v[j], s.k > 0 && !s.plain[j]})
		}
	}
	if s.k > 0 && !s.plain[self] {
		out.Standbys = true
		out.Heirs = func(p int) []string { return s.heirs(self, v, of, p) }
	}
	for p := range s.partitions() {
		name := ""
		if j := s.owner(v, of, p); j >= 0 {
			name = memberName(j)
		}
		out.Owners = append(out.Owners, name)
	}
	return out
}
