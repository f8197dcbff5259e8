package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// incidents are those that a team that runs a web tier meets.
var incidents = []incident{
	{
		name: "stuck", title: "A stuck handler",
		provoke: stick,
		alerts:  []string{"SessionprocHandlerStuck"},
		queries: []string{`sessionproc_mailbox_oldest_seconds > 2`, `sessionproc_mailbox_deepest_messages{} > 0`},
		look:    lookAtTheStuck, cause: "waitForTheLedger",
	},
	{
		name: "slow", title: "Latency after a deploy",
		provoke: func(ctx context.Context, f *fleet) (string, error) {
			return "web-4 was restarted with a release that asks the warehouse at each add",
				f.restart(ctx, 4, func(c *replicaConfig) { c.Slow = true })
		},
		alerts: []string{"SessionprocCallsSlow"},
		queries: []string{
			`histogram_quantile(0.99, sum by (instance, method, le) (rate(sessionproc_call_seconds_bucket{}[10s])))`,
			`increase(sessionproc_slow_handlers_total{}[10s]) > 0`},
		look: lookAtTheSlow, cause: "askTheWarehouse",
	},
	{
		name: "twice", title: "One node with twice the sessions", early: true,
		tune: func(n int, c *replicaConfig) {
			if n == 1 || n == 2 {
				c.MaxSessions = 1
			}
		},
		provoke: func(context.Context, *fleet) (string, error) {
			return "web-1 and web-2 came with MaxSessions 1, which somebody has left in their environment after a test", nil
		},
		alerts: []string{"SessionprocUneven", "SessionprocMisplaced"},
		queries: []string{`sum by (instance) (sessionproc_sessions{})`, `sessionproc_misplaced_sessions{} > 0`,
			`sum by (instance, here) (sessionproc_moves_refused_total{}) > 0`},
		look: lookAtTheTwice, cause: "MaxSessions is 1",
	},
	{
		name: "split", title: "A split",
		tune:    func(_ int, c *replicaConfig) { c.Quorum = 3 },
		provoke: split,
		alerts:  []string{"SessionprocSplit", "SessionprocNotReady", "SessionprocMemberLost"},
		queries: []string{`sessionproc_members{state="serving"}`, `sessionproc_ready{}`},
		look:    lookAtTheSplit, cause: "quorum",
	},
	{
		name: "memory", title: "A pod killed for memory",
		tune: func(n int, c *replicaConfig) { c.MemoryMark = 48 << 20 },
		provoke: func(ctx context.Context, f *fleet) (string, error) {
			if _, err := f.ask(ctx, 2, "leak", order{}); err != nil {
				return "", err
			}
			if err := f.observer.await(ctx, firing, f.incident.name, []string{"SessionprocMemoryMark"}); err != nil {
				return "", err
			}
			f.replicas[2].gone = true
			f.replicas[2].Kill()
			return "web-2 has leaked memory, which was told (SessionprocMemoryMark), and was killed as the kernel does it", nil
		},
		alerts: []string{"SessionprocMemberLost", "SessionprocSessionsLost"},
		queries: []string{`up{} == 0`,
			`max_over_time(sessionproc_heap_bytes{}[1m]) > on (instance) max_over_time(sessionproc_memory_mark_bytes{}[1m])`,
			`max by (job) (sessionproc_lost_sessions_total{})`},
		look: lookAtTheLost, cause: "web-2/",
	},
	{
		name: "rotation", title: "A rotation of the secret gone half way",
		provoke: rotate,
		alerts:  []string{"SessionprocSecretsDiffer"},
		queries: []string{`sessionproc_secret_sets{}`},
		look:    lookAtTheRotation, cause: "web-4",
	},
	{
		name: "release", title: "One pod of another release",
		tune: func(_ int, c *replicaConfig) { c.Schema = 2 },
		provoke: func(ctx context.Context, f *fleet) (string, error) {
			return "web-4 was restarted with the release before", f.restart(ctx, 4,
				func(c *replicaConfig) { c.Schema = 1 })
		},
		alerts: []string{"SessionprocReleasesDiffer", "SessionprocMisplaced"},
		queries: []string{`sessionproc_differing_members{}`, `sessionproc_misplaced_sessions{} > 0`,
			`sum by (instance, here) (sessionproc_moves_refused_total{}) > 0`},
		look: lookAtTheRelease, cause: "cart.discount",
	},
}

func stick(ctx context.Context, f *fleet) (string, error) {
	_, err := f.ask(ctx, 0, "report", order{Session: 7})
	for range 3 { // the browser asks again
		if err == nil {
			_, err = f.ask(ctx, 1, "report", order{Session: 7})
		}
	}
	return "a browser asked for a report, whose handler waits for a lock that is not given back", err
}

// idOf is the LogID of the session that a line of the log is about.
var idOf = regexp.MustCompile(` session=(\S+)`)

// lookAtTheStuck goes from the node that the alert names to its log, and from a line there to the session.
func lookAtTheStuck(ctx context.Context, f *fleet) (call, says string, err error) {
	owner, err := f.ask(ctx, 0, "owner", order{Session: 7})
	if err != nil {
		return "", "", err
	}
	at := 0
	for n, r := range f.replicas {
		if r.slot == owner {
			at = n
		}
	}
	log, err := f.until(ctx, at, "log", order{}, "a handler is slow")
	if err != nil {
		return "", "", err
	}
	m := idOf.FindStringSubmatch(log[strings.Index(log, "a handler is slow"):])
	if m == nil {
		return "", "", fmt.Errorf("no session in the log of %s: %s", owner, log)
	}
	if says, err = f.ask(ctx, 3, "inspect", order{LogID: m[1]}); err != nil {
		return "", "", err
	}
	sentences, err := f.ask(ctx, 3, "explain", order{LogID: m[1]})
	return fmt.Sprintf("The log of %s warns of session %s; then, at any node, Node.List(LogID) gives its ID, "+
		"Node.Inspect(id, Stack) and Node.Explain(id) say", owner, m[1]), inspected(says) + "\n" + sentences, err
}

// inspected is the part of an Inspection that a person reads first.
func inspected(text string) string {
	var i node.Inspection
	if json.Unmarshal([]byte(text), &i) != nil {
		return text
	}
	return fmt.Sprintf("Node: %s\nMethod: %s, Running: %t, Waiting: %d, Oldest: %v\nStack: %s", i.Node, i.Method,
		i.Running, i.Waiting, i.Oldest, ours(i.Stack))
}

// ours are the functions of a stack that belong to this program, without arguments and addresses.
func ours(stack string) string {
	var names []string
	for line := range strings.Lines(stack) {
		if name, _, ok := strings.Cut(line, "("); ok && (strings.HasPrefix(name, "main.") ||
			strings.Contains(name, "/incidents.")) && !strings.HasPrefix(line, "\t") {
			names = append(names, name[strings.LastIndexByte(name, '/')+1:])
		}
	}
	return strings.Join(names, " < ")
}

func lookAtTheSlow(ctx context.Context, f *fleet) (call, says string, err error) {
	text, err := f.ask(ctx, 0, "healths", order{})
	if err != nil {
		return "", "", err
	}
	var all []node.NodeHealth
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return "", "", err
	}
	for _, h := range all {
		says += fmt.Sprintf("%s  Version: %q, Started: %s ago\n", h.Name, h.Version, time.Since(h.Started).Round(time.Second))
	}
	log, err := f.until(ctx, 4, "log", order{}, "a handler is slow")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(log) {
		if before, stack, ok := strings.Cut(line, "stack="); ok && strings.Contains(line, "a handler is slow") {
			says += before + "stack: " + ours(strings.ReplaceAll(stack, `\n`, "\n"))
			break
		}
	}
	return "Node.Healths has the Started and Version of each node, and the log of web-4 the stack of the slow handler " +
		"(KindConfig.SlowHandler)", says, nil
}

// lookAtTheTwice reads in the log of the node that has too many why, and asks about a session that should be elsewhere.
func lookAtTheTwice(ctx context.Context, f *fleet) (call, says string, err error) {
	const refusal = "a member refused a session"
	log, err := f.until(ctx, 0, "log", order{}, refusal)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, refusal) {
			says = line
			break
		}
	}
	for i := range seeded {
		owner, err := f.ask(ctx, 0, "owner", order{Session: i})
		if err != nil {
			return "", "", err
		}
		if owner == "web-1" {
			sentences, err := f.ask(ctx, 0, "explain", order{LogID: sessionproc.LogID(cartID(i))})
			return "The log of web-0 says which node refuses a session, and why; Node.Explain says where another one is", says +
				sentences, err
		}
	}
	return "", "", fmt.Errorf("web-1 owns no session")
}

func split(ctx context.Context, f *fleet) (string, error) {
	var sides [2][]string
	side := func(n int) int { return n / 3 }
	for n, r := range f.replicas {
		sides[side(n)] = append(sides[side(n)], r.addr)
	}
	for n := range f.replicas {
		if _, err := f.ask(ctx, n, "cut", order{Addrs: sides[1-side(n)]}); err != nil {
			return "", err
		}
	}
	return "web-0, web-1 and web-2 do not reach web-3 and web-4; the quorum is 3", nil
}

func lookAtTheSplit(ctx context.Context, f *fleet) (call, says string, err error) {
	for _, n := range []int{0, 3} {
		text, err := f.ask(ctx, n, "health", order{})
		if err != nil {
			return "", "", err
		}
		var h node.NodeHealth
		if err := json.Unmarshal([]byte(text), &h); err != nil {
			return "", "", err
		}
		says += fmt.Sprintf("%s  Ready: %q, Members: %v, Lost:", h.Name, h.Ready, h.Members)
		for _, l := range h.Lost {
			says += fmt.Sprintf(" %s (%d sessions)", l.Name, l.Sessions)
		}
		says += "\n"
	}
	return "Node.Health on either side", says, nil
}

func lookAtTheLost(ctx context.Context, f *fleet) (call, says string, err error) {
	text, err := f.ask(ctx, 0, "health", order{})
	if err != nil {
		return "", "", err
	}
	var h node.NodeHealth
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return "", "", err
	}
	for _, l := range h.Lost {
		says += fmt.Sprintf("%s  %s, since %s, with %d sessions\n", l.Name, l.Addr, l.Since.Format("15:04:05"), l.Sessions)
	}
	return "Node.Health().Lost of web-0", says + fmt.Sprintf("Durability.Replicated: %d\n", h.Durability.Replicated), nil
}

// rotate changes the secret on all replicas but the last one, which was forgotten.
func rotate(ctx context.Context, f *fleet) (string, error) {
	next := node.NewSecret()
	for n := range size - 1 {
		refused, err := f.ask(ctx, n, "set%20secrets", order{Secrets: []string{f.secret, next}})
		if err != nil || refused != "" {
			return "", fmt.Errorf("%s%w", refused, err)
		}
	}
	f.next = next
	return "the new secret was given to all nodes but web-4", nil
}

func lookAtTheRotation(ctx context.Context, f *fleet) (call, says string, err error) {
	says, err = f.ask(ctx, 0, "set%20secrets", order{Secrets: []string{f.next, f.secret}})
	if err != nil {
		return "", "", err
	}
	text, err := f.ask(ctx, 0, "members", order{})
	if err != nil {
		return "", "", err
	}
	var members []struct {
		Slot   string
		KeyIDs []uint32
	}
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return "", "", err
	}
	says += "\n"
	for _, m := range members {
		says += fmt.Sprintf("%s  KeyIDs: %08x\n", m.Slot, m.KeyIDs)
	}
	return "The next step, Node.SetSecrets(new, old), refuses, so that no node is cut off; " +
		"Node.Members has the keys of all", says, nil
}

func lookAtTheRelease(ctx context.Context, f *fleet) (call, says string, err error) {
	text, err := f.ask(ctx, 0, "health", order{})
	if err != nil {
		return "", "", err
	}
	var h node.NodeHealth
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return "", "", err
	}
	for _, d := range h.Differing {
		says += fmt.Sprintf("%s  OnlyHere: %v, OnlyThere: %v, Schemas: %v\n", d.Name, d.OnlyHere, d.OnlyThere, d.Schemas)
	}
	return "Node.Health().Differing of web-0", says, nil
}
