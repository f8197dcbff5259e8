package main

import (
	"encoding/gob"
	"io"
	"sync"
	"time"
)

// Parent and children speak gob over the child's standard input and output, so
// that children of two releases understand one another.

// order is what the parent tells a child.
type order struct {
	ID      int // of the answer
	Do      task
	Rate    float64 // drive: calls a second; 0: none, and the answer comes when all have ended
	Targets []string
	From    int // seed: the first session
	To      int // and the one after the last
	Time    time.Duration
}

type task string

const (
	drive    task = "drive"    // load at Rate from now on
	aim      task = "aim"      // visitor: Targets are the replicas that there are
	seed     task = "seed"     // start the sessions [From, To)
	saturate task = "saturate" // load as fast as it goes for Time
	readAll  task = "read"     // read all sessions
	count    task = "count"    // the sessions of this node, and the members that it sees
	extended task = "extend"   // set the new release's field in all sessions
	verify   task = "verify"   // count the sessions that have lost it
	roam     task = "roam"     // have sessions of its own, and renew them from now on
	roamed   task = "roamed"   // no more, and say in Wrong what is wrong with them
	login    task = "login"    // have labelled sessions of its own
	logout   task = "logout"   // end them, those of one label after another
	loggedIn task = "loggedIn" // say in Wrong which are there that have ended
	take     task = "take"     // have the handler of a session end its process
	cure     task = "cure"     // end that session
)

// report is what a child tells the parent.
type report struct {
	Hello   *hello
	Records []record
	Lags    []time.Duration // of its ticker
	Gone    int64           // sessions that have moved away from its node so far
	Lost    []loss          // members that its node has lost since it said so last

	Answer int    // the ID of the order that is done
	Err    string // why it is not
	Count  int
	Finals []final
	Sees   []string // names of members
	Wrong  []string // broken promises
	Owns   int      // sessions of the run that belong to this replica, as it sees it

	Bye bool // the child ends in good order; Err if not quite
}

// loss is that a node knows that another one has gone.
type loss struct {
	Name string // slot/boot
	At   int64  // nanoseconds of the Unix epoch
}

// hello is what the parent has to know of a child.
type hello struct {
	Addr string // of its node
	Name string // likewise
	URL  string // of its web server
	Took time.Duration
}

// kind of request that a record is of.
type request byte

const (
	callWrite request = iota // through the node in the generator's own process
	httpWrite                // by HTTP, through a replica that said that it is ready
	warmWrite                // as fast as it goes
	start
	terminate
)

// record is one request that has ended.
type record struct {
	Request request
	Session int // of starts and ends none
	Outcome outcome
	Writer  int // with Serial the entry of a write to a ledger; Serial is 0 of other writes
	Serial  uint64
	Due     int64 // when it should have been sent: nanoseconds of the Unix epoch
	Done    int64
	Failure *failure
}

// outcome is what the reply of a write says.
type outcome struct {
	Number  uint64  // of the write, from 1; of registers
	Entries entries // of the ledger that the write was to, this one included
	Node    int     // the number of the child that ran the ledger
	Anew    bool    // the session had gone, and was started anew
	Via     string  // the URL of the replica that was asked, by HTTP
}

// final is what a session says in the end.
type final struct {
	Session int
	Number  uint64 // of the last write to a register
	Page    page   // of a ledger
	Missing bool   // there is no such session
}

// outbox collects what a child has to say.
type outbox struct {
	mu      sync.Mutex // guards the rest
	enc     *gob.Encoder
	pending report
	gone    func() int64
}

const sayEvery = 50 * time.Millisecond

func newOutbox(w io.Writer) *outbox {
	return &outbox{enc: gob.NewEncoder(w), gone: func() int64 { return 0 }}
}

// count has each report say how many sessions have moved away.
func (o *outbox) count(gone func() int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = gone
}

// add has r said soon.
func (o *outbox) add(r record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending.Records = append(o.pending.Records, r)
}

func (o *outbox) lag(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending.Lags = append(o.pending.Lags, d)
}

func (o *outbox) lost(l loss) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending.Lost = append(o.pending.Lost, l)
}

// say sends r after what was added before. It is the process's last word if
// the parent has gone.
func (o *outbox) say(r report) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r.Records, r.Lags, r.Lost, r.Gone = o.pending.Records, o.pending.Lags, o.pending.Lost, o.gone()
	err := o.enc.Encode(r)
	o.pending.Records, o.pending.Lags, o.pending.Lost = r.Records[:0], r.Lags[:0], nil
	return err
}

// run says what was added, now and then, until done is closed.
func (o *outbox) run(done <-chan struct{}) {
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if o.say(report{}) != nil {
				return
			}
		case <-done:
			return
		}
	}
}
