package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// Explanation says where a session is, why there, what it does and waits for, and what waits for it; or
// why it is nowhere. It has no session ID but as sessionproc.LogID, so it may be shown and logged. It has plain
// values only, and marshals to JSON.
type Explanation struct {
	Session string // LogID
	// State is Inspection.Phase of a session that a member has: "starting", "live", "moving", "ending",
	// "renewed" or "quarantined". Else "ended": a member remembers its end; "promoting": there are standbys of
	// it, of which one goes on soon; "undecided": it may be with a member that has not answered, or that the
	// owner of its partition still waits for; "absent": nobody has it, or remembers it.
	State string
	Kind  string // "": not known

	Partition int
	Owner     string                  // slot/boot of whose the partition is by the ring; "": nobody serves
	Holder    string                  // that has the partition, and so decides about its sessions; "": none has said so
	Holdings  map[string]HoldingState // how members stand to the partition, those left out that do not have it
	Awaits    []string                // members whose answer the next holder waits for
	Standbys  []string                // members that have a standby of it
	Paused    map[string]string       // members whose sessions wait, and why
	Refused   map[string]string       // members that do not take it over, as far as that is known, and why
	Stays     string                  // why no member can take it over; "": that is not so
	NoStarts  map[string]string       // of one that nobody has: why its holder starts none now, by kind; of "" all kinds

	// What a member says that has it. See Inspection.
	Node      string // slot/boot; "": none has it, and what follows is zero
	Started   time.Time
	LastUsed  time.Time
	Running   bool
	Method    string
	Since     time.Time
	Held      string
	WaitsFor  []string
	Waiting   int
	Line      int
	Oldest    time.Duration
	Callers   []string
	Timers    int
	NextTimer time.Time
	Tasks     []SessionTask

	Reason  sessionproc.Reason // of one that has ended: why
	Ended   time.Time          // when; zero: it is not known
	EndedOn string             // slot/boot

	Sentences []string // all of that in English
}

// String returns the sentences.
func (e Explanation) String() string { return strings.Join(e.Sentences, " ") }

// account is what a member knows of a session. It travels as query does.
type account struct {
	Found   found
	Holding HoldingState
	Awaits  []string `msgpack:",omitempty"`
	GivesTo string   `msgpack:",omitempty"`

	Refuses   string            `msgpack:",omitempty"`
	Stays     string            `msgpack:",omitempty"`
	RefusedBy []string          `msgpack:",omitempty"`
	NoStarts  map[string]string `msgpack:",omitempty"`

	Paused string `msgpack:",omitempty"`

	Standby      bool          `msgpack:",omitempty"`
	StandbyEnded bool          `msgpack:",omitempty"`
	StandbyAge   time.Duration `msgpack:",omitempty"`
	Standbys     []string      `msgpack:",omitempty"`

	Ended    bool               `msgpack:",omitempty"`
	Kind     string             `msgpack:",omitempty"` // of one that has ended
	Reason   sessionproc.Reason `msgpack:",omitempty"`
	EndedAgo time.Duration      `msgpack:",omitempty"`

	old bool // the member is of an earlier release, and tells only Found
}

// explainTime is how long members are waited for: what the others say is of use at once.
const explainTime = 2 * time.Second

// Explain says where session id is, and why, as its members know it at this moment; it changes nothing, and waits
// for no session. An end is remembered by its node, of the last 16,384 ones. If members do not answer until ctx
// ends, or for 2 s, the error is a *PartialError that names them, and the Explanation has what the others know.
func (n *Node) Explain(ctx context.Context, id string) (Explanation, error) {
	r, part, err := n.locate(id)
	if err != nil {
		return Explanation{}, opError("explain", id, err)
	}
	members, err := n.holders()
	if err != nil {
		return Explanation{}, opError("explain", id, err)
	}
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	known := map[string]account{}
	missing := askEach(ctx, n, members, &query{What: askExplain, ID: id}, func(m cluster.Member, a account) {
		known[m.Name()] = a
	})
	missing = n.askOlder(ctx, members, id, known, missing)
	e := Explanation{Session: sessionproc.LogID(id), Partition: part, Holdings: map[string]HoldingState{},
		Paused: map[string]string{}, Refused: map[string]string{}}
	if owner := r.Owners[part]; owner != nil {
		e.Owner = owner.Name()
	}
	e.gather(known, missing)
	e.explain(known, missing)
	if err := missing.err(); err != nil {
		return e, opError("explain", id, err)
	}
	return e, nil
}

// askOlder asks the members that do not know askExplain what they do know.
func (n *Node) askOlder(ctx context.Context, members []cluster.Member, id string, known map[string]account,
	missing *PartialError) *PartialError {
	older := slices.DeleteFunc(slices.Clone(members), func(m cluster.Member) bool {
		return !errors.Is(missing.Nodes[m.Name()], sessionproc.ErrUnsupported)
	})
	for _, m := range older {
		delete(missing.Nodes, m.Name())
	}
	again := askEach(ctx, n, older, &query{What: askDetails, ID: id}, func(m cluster.Member, f found) {
		known[m.Name()] = account{Found: f, Holding: f.Holding, old: true}
	})
	for name, err := range again.Nodes {
		missing.add(name, err)
	}
	return missing
}

// accountOf answers askExplain.
func (n *Node) accountOf(ctx context.Context, id string) (a account) {
	part := n.routes.Load().Ring.Partition(id)
	d := n.driver.Account(part, id)
	a = account{Found: n.details(ctx, id, false), Holding: holdingOf(d.Part), Awaits: d.Awaits, GivesTo: d.GivesTo,
		Refuses: d.Refuses, Stays: d.Stays, RefusedBy: d.RefusedBy,
		Paused: textOf(n.table.PausedBy()), Standby: d.Standby, StandbyEnded: d.StandbyEnded, StandbyAge: d.StandbyAge,
		Standbys: d.Standbys}
	if !a.Found.Here {
		a.NoStarts = map[string]string{}
		for kind, why := range n.table.StartsRefused() {
			a.NoStarts[kind] = why.Error()
		}
	}
	a.Kind, a.Reason, a.EndedAgo, a.Ended = n.table.LastEnd(part, id)
	return a
}

// gather fills e with what members know, but the sentences.
func (e *Explanation) gather(known map[string]account, missing *PartialError) {
	var best *account
	for _, name := range slices.Sorted(maps.Keys(known)) {
		a := known[name]
		if a.Holding != "" && a.Holding != HoldingElsewhere {
			e.Holdings[name] = a.Holding
		}
		if a.Holding == HoldingSettled || a.Holding == HoldingGathering || e.Holder == "" && a.Holding == HoldingHandingOver {
			e.Holder = name
		}
		if a.Holding == HoldingClaiming {
			e.Awaits = a.Awaits
		}
		if a.Paused != "" {
			e.Paused[name] = a.Paused
		}
		if a.Standby && !a.StandbyEnded {
			e.Standbys = append(e.Standbys, name)
		}
		if a.Found.Here && (best == nil || rank(&a) > rank(best)) {
			best = &a
			e.Node = name
		}
		if ended := time.Now().Add(-a.EndedAgo); a.Ended && ended.After(e.Ended) {
			e.Reason, e.Ended, e.EndedOn = a.Reason, ended, name
		}
	}
	switch {
	case best != nil:
		e.describe(inspectionOf(e.Node, &best.Found.Details))
		e.Reason, e.Ended, e.EndedOn = "", time.Time{}, "" // that was an earlier session of the ID
		e.gatherRefusals(known, missing)
	case !e.Ended.IsZero():
		e.State, e.Kind = "ended", known[e.EndedOn].Kind
	case len(e.Standbys) > 0:
		e.State = "promoting"
	case len(missing.Nodes) > 0 || e.Holder == "" || e.Holdings[e.Holder] == HoldingGathering:
		e.State = "undecided"
	default:
		e.State = "absent"
	}
	if e.State == "absent" || e.State == "ended" {
		e.NoStarts = known[e.Holder].NoStarts
	}
}

// gatherRefusals has what members say of a session that one of them has and others do not take over.
func (e *Explanation) gatherRefusals(known map[string]account, missing *PartialError) {
	here := known[e.Node]
	if here.Stays != "" && len(here.RefusedBy) == 0 {
		e.Stays = here.Stays
	}
	for _, by := range here.RefusedBy {
		if _, answered := known[by]; answered || missing.Nodes[by] != nil { // it is still a member
			e.Refused[by] = here.Stays
		}
	}
	for name, a := range known {
		if a.Refuses != "" && name != e.Node {
			e.Refused[name] = a.Refuses
		}
	}
}

// describe takes over what a member says of its session.
func (e *Explanation) describe(i Inspection) {
	e.State, e.Kind, e.Started, e.LastUsed = i.Phase, i.Kind, i.Started, i.LastUsed
	e.Running, e.Method, e.Since, e.Held, e.WaitsFor = i.Running, i.Method, i.Since, i.Held, i.WaitsFor
	e.Waiting, e.Line, e.Oldest, e.Callers = i.Waiting, i.Line, i.Oldest, i.Callers
	e.Tasks = i.Tasks
	if e.Timers = len(i.Timers); e.Timers > 0 {
		e.NextTimer = i.Timers[0].Due
	}
}

// rank says which of several members' accounts of a session is the one that counts.
func rank(a *account) int {
	switch a.Found.Details.Phase {
	case engine.PhaseLive:
		return 3
	case engine.PhaseRenewed:
		return 1
	}
	return 2
}
