package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// explain fills the sentences.
func (e *Explanation) explain(known map[string]account, missing *PartialError) {
	say := func(form string, args ...any) { e.Sentences = append(e.Sentences, fmt.Sprintf(form, args...)) }
	e.sayWhere(say, known)
	e.sayWhyThere(say, known)
	e.sayRefusals(say)
	for _, name := range slices.Sorted(maps.Keys(e.Paused)) {
		say("The sessions of %s wait: %s.", name, e.Paused[name])
	}
	if e.Node != "" {
		e.sayWhatItDoes(say)
	}
	switch {
	case len(e.Standbys) > 0 && e.State != "promoting":
		say("%s %s a standby of it.", enumerate(e.Standbys), hasOrHave(e.Standbys))
	case e.Node != "" && len(known[e.Node].Standbys) > 0:
		say("%s should have a standby of it.", enumerate(known[e.Node].Standbys))
	}
	for _, name := range slices.Sorted(maps.Keys(missing.Nodes)) {
		say("%s has not answered: %v.", name, missing.Nodes[name])
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if known[name].old {
			say("%s runs an earlier release, and only says whether it has the session.", name)
		}
	}
}

func (e *Explanation) sayWhere(say func(string, ...any), known map[string]account) {
	session := fmt.Sprintf("Session %s", e.Session)
	if e.Kind != "" {
		session += fmt.Sprintf(" of kind %q", e.Kind)
	}
	switch e.State {
	case engine.PhaseLive:
		say("%s is on %s. It was started %s ago and last used %s ago.", session, e.Node, since(e.Started), since(e.LastUsed))
	case engine.PhaseStarting:
		say("%s is about to start on %s.", session, e.Node)
	case engine.PhaseMoving:
		to := known[e.Node].GivesTo
		switch {
		case to != "":
		case e.Owner != "" && e.Owner != e.Node:
			to = e.Owner
		default:
			to = "another member"
		}
		say("%s is on its way from %s to %s, where requests wait for it.", session, e.Node, to)
	case engine.PhaseEnding:
		say("%s is about to end on %s.", session, e.Node)
	case engine.PhaseRenewed:
		say("%s was renewed: it goes on under another ID, and %s keeps this one from use for a minute.", session, e.Node)
	case engine.PhaseQuarantined:
		say("%s is quarantined on %s, as nodes that went on with it have crashed: it handles nothing until Terminate "+
			"ends it.", session, e.Node)
	case "ended":
		say("%s has ended on %s %s ago: %s.", session, e.EndedOn, since(e.Ended), e.Reason)
	case "promoting":
		say("No member runs %s, but %s %s a standby of it, from which it goes on when the holder of its partition knows "+
			"of all of them.", lowered(session), enumerate(e.Standbys), hasOrHave(e.Standbys))
	case "undecided":
		say("Whether there is a %s is not known yet.", lowered(session))
	default:
		say("No member has %s or remembers an end of it: it was not started, or ended long ago or with a member that is "+
			"lost.", lowered(session))
	}
}

func (e *Explanation) sayWhyThere(say func(string, ...any), known map[string]account) {
	partition := fmt.Sprintf("Its partition, %d,", e.Partition)
	switch {
	case e.Owner == "":
		say("%s is nobody's by the ring, as no member serves.", partition)
	case e.Holder == e.Owner && e.Holdings[e.Holder] == HoldingSettled:
		say("%s is %s's by the ring, which has it.", partition, e.Owner)
		return
	case e.Holder == e.Owner:
		say("%s is %s's by the ring, which has it; sessions of it may still be elsewhere, and come.", partition, e.Owner)
		return
	default:
		say("%s is %s's by the ring.", partition, e.Owner)
	}
	if e.Holder == "" {
		say("No member that has answered has it.")
	} else if to := known[e.Holder].GivesTo; to != "" {
		say("%s has it, and gives it to %s.", e.Holder, to)
	} else {
		say("%s still has it.", e.Holder)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Holdings)) {
		switch awaits := known[name].Awaits; {
		case e.Holdings[name] != HoldingClaiming:
		case len(awaits) > 0:
			say("%s asks for it, and waits for the answer of %s.", name, enumerate(awaits))
		default:
			say("%s asks for it.", name)
		}
	}
}

// sayRefusals: why a session stays where it is, or is not started.
func (e *Explanation) sayRefusals(say func(string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(e.Refused)) {
		say("%s does not take it over: %s.", name, e.Refused[name])
	}
	if e.Stays != "" {
		say("No member can take it over: %s.", e.Stays)
	}
	for _, kind := range slices.Sorted(maps.Keys(e.NoStarts)) {
		if kind == "" {
			say("%s starts no session now: %s.", e.Holder, e.NoStarts[kind])
		} else {
			say("%s starts no session of kind %q now: %s.", e.Holder, kind, e.NoStarts[kind])
		}
	}
}

func (e *Explanation) sayWhatItDoes(say func(string, ...any)) {
	switch {
	case e.Running && e.Method != "":
		say("The handler of %s has run for %s%s.", e.Method, since(e.Since), waits(e.WaitsFor))
	case e.Running && e.State == engine.PhaseStarting:
		say("Its start function has run for %s%s.", since(e.Since), waits(e.WaitsFor))
	case e.Running:
		say("A handler has run for %s%s.", since(e.Since), waits(e.WaitsFor))
	case e.Held != "":
		say("It waits for %s.", e.Held)
	default:
		say("No handler runs.")
	}
	switch {
	case e.Waiting == 0:
		say("No message waits.")
	case e.Line > 0:
		say("%s in its mailbox, the first for %s, and %d more for a place there.", messagesWait(e.Waiting), rounded(e.Oldest),
			e.Line)
	default:
		say("%s in its mailbox, the first for %s.", messagesWait(e.Waiting), rounded(e.Oldest))
	}
	if len(e.Callers) == 1 {
		say("Session %s waits for it.", e.Callers[0])
	} else if len(e.Callers) > 1 {
		say("Sessions %s wait for it.", enumerate(e.Callers))
	}
	for _, k := range e.Tasks {
		if k.Done {
			say("The result of its task %s has come.", k.Name)
		} else {
			say("Its task %s has run on %s for %s.", k.Name, k.Node, since(k.Since))
		}
	}
	if e.Timers > 0 {
		say("The first of its %d timers is due in %s.", e.Timers, rounded(time.Until(e.NextTimer)))
	}
}

func waits(sessions []string) string {
	switch len(sessions) {
	case 0:
		return ""
	case 1:
		return ", and waits for session " + sessions[0]
	}
	return ", and waits for sessions " + enumerate(sessions)
}

func messagesWait(n int) string {
	if n == 1 {
		return "1 message waits"
	}
	return fmt.Sprintf("%d messages wait", n)
}

func hasOrHave(names []string) string {
	if len(names) == 1 {
		return "has"
	}
	return "have"
}

// enumerate joins names as in a sentence.
func enumerate(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func lowered(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func since(t time.Time) time.Duration { return rounded(time.Since(t)) }

// rounded is d as a person reads it.
func rounded(d time.Duration) time.Duration {
	switch d = max(d, 0); {
	case d < time.Second:
		return d.Round(time.Millisecond)
	case d < time.Minute:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
