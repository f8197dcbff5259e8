package simulation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What schedules have found, each with the fewest steps that showed it.
var found = map[string]schedule{
	// Gossip lost the news of a node that drained together with others, and they waited
	// for it until they took it for dead.
	"three of four nodes leave at once": {Seed: 0x810, Nodes: 4, Sessions: 20, Clients: 3, Steps: []step{
		{Do: leave, Node: 2, Linger: true, Wait: 20 * ms},
		{Do: leave, Node: 4, Wait: 5 * ms},
		{Do: leave, Node: 2, Wait: 1 * ms}}},
	"three of four nodes leave at once, one returns": {Seed: 0xa594, Nodes: 4, Sessions: 5, Clients: 2, Steps: []step{
		{Do: restart, Node: 1, Wait: 5 * ms},
		{Do: leave, Node: 4, Wait: 1 * ms},
		{Do: leave, Node: 0, Wait: 1 * ms},
		{Do: leave, Node: 1, Linger: true}}},
	// Here, besides, a node broke the connection to one that had said good-bye, with calls under way.
	"four of five nodes restart at once": {Seed: 0x3457, Nodes: 4, Sessions: 5, Clients: 5, Steps: []step{
		{Do: restart, Node: 0, Linger: true},
		{Do: join, Node: 0, Wait: 1000 * ms},
		{Do: restart, Node: 1, Linger: true},
		{Do: restart, Node: 0, Linger: true},
		{Do: restart, Node: 0, Linger: true, Wait: 300 * ms},
		{Do: far, Node: 2, Wait: 1 * ms}}},
	// The good-bye of a node got lost likewise.
	"a node restarts and another one leaves": {Seed: 1, Nodes: 4, Sessions: 10, Clients: 3, Steps: []step{
		{Do: restart, Node: 3, Wait: 100 * ms},
		{Do: join, Node: 2},
		{Do: leave, Linger: true, Wait: 5 * ms}}},
	"two restart, two join": {Seed: 0x18c8b5cc, Nodes: 3, Sessions: 10, Clients: 2, Steps: []step{
		{Do: leave, Node: 3, Linger: true},
		{Do: rest},
		{Do: join, Wait: 1000 * ms},
		{Do: rest, Wait: 20 * ms},
		{Do: restart, Node: 3, Wait: 1 * ms},
		{Do: restart, Wait: 1 * ms},
		{Do: back, Wait: 1 * ms},
		{Do: join, Wait: 1 * ms}}},
	// A node that returned heard from one that was leaving of its own former boot, which was draining, and nothing later.
	"nodes return while others leave": {Seed: 0x660968426, Nodes: 3, Sessions: 20, Clients: 3, Steps: []step{
		{Do: join, Linger: true},
		{Do: leave, Node: 1, Wait: 1 * ms},
		{Do: leave, Node: 1, Linger: true, Wait: 1000 * ms},
		{Do: restart, Node: 3, Wait: 300 * ms},
		{Do: join, Wait: 100 * ms},
		{Do: back, Node: 2, Wait: 20 * ms},
		{Do: join, Node: 2, Linger: true, Wait: 5 * ms},
		{Do: restart},
		{Do: join, Node: 1, Linger: true, Wait: 1000 * ms}}},
	"three nodes join, one leaves": {Seed: 1, Nodes: 4, Sessions: 20, Clients: 3, Steps: []step{
		{Do: join, Node: 3, Linger: true, Wait: 100 * ms},
		{Do: join, Node: 4, Wait: 20 * ms},
		{Do: join, Node: 2, Linger: true, Wait: 1 * ms},
		{Do: leave, Node: 1, Linger: true, Wait: 5 * ms}}},
	"a node joins, leaves, and others with it": {Seed: 0x86, Nodes: 3, Sessions: 5, Clients: 5, Steps: []step{
		{Do: join, Wait: 300 * ms},
		{Do: leave, Node: 2, Wait: 20 * ms},
		{Do: restart, Node: 1, Linger: true},
		{Do: leave, Node: 3, Wait: 300 * ms},
		{Do: far, Node: 1}}},
	// A node ended its sessions when it left and had not heard yet that the only one to stay had begun to serve.
	"all leave when one has just joined": {Seed: 1, Nodes: 3, Sessions: 10, Clients: 3, Steps: []step{
		{Do: restart, Node: 4, Linger: true},
		{Do: leave, Node: 1, Linger: true, Wait: 1 * ms},
		{Do: join, Linger: true, Wait: 100 * ms},
		{Do: leave, Node: 2, Linger: true},
		{Do: bare, Node: 2, Wait: 300 * ms},
		{Do: join, Node: 1, Wait: 20 * ms}}},
	// What waits in the sockets of a node that stood still brings a member back that
	// has left meanwhile, until that is found out again.
	"a minority of old news": {Seed: 3, Nodes: 2, Sessions: 4, Clients: 3, Faults: true, Quorum: 2, Steps: []step{
		{Do: stall, Node: 1, Wait: 1000 * ms},
		{Do: leave, Node: 2, Wait: 10000 * ms},
		{Do: power, Node: 2, Linger: true, Wait: 6000 * ms}}},
	// A member that crashed and was back at once counted twice for the quorum, until its crash was found out.
	"a node of a minority restarts": {Nodes: 4, Sessions: 16, Clients: 4, Faults: true, Quorum: 3, Steps: []step{
		{Do: power, Wait: 1000 * ms},
		{Do: power, Node: 4, Wait: 6000 * ms},
		{Do: reset, Node: 3, Linger: true, Wait: 10000 * ms},
		{Do: crash, Node: 4, Wait: 1 * ms},
		{Do: back, Node: 1, Wait: 1000 * ms}}},
	// A node cannot move its sessions without a quorum and ends them in time: they are not found afterwards.
	"two of four crash, one leaves": {Nodes: 4, Sessions: 8, Clients: 4, Faults: true, Quorum: 3, Steps: []step{
		{Do: power, Node: 3, Wait: 20 * ms},
		{Do: crash, Node: 1, Wait: 20 * ms},
		{Do: restart, Node: 2, Linger: true, Wait: 20 * ms}}},
	// Two nodes that were cut off took a minute to meet again: they tried those first that were gone.
	"a node leaves, one is cut off, one loses power": {Seed: 5, Nodes: 4, Sessions: 4, Clients: 3, Faults: true,
		Steps: []step{
			{Do: leave, Node: 4},
			{Do: isolate, Wait: 5 * ms},
			{Do: power, Node: 2, Wait: 6000 * ms}}},
	// A node that left seemed lost to one that was leaving too, which broke the connection to it, with a call under way.
	"a node leaves, another one restarts, two join": {Seed: 1, Nodes: 2, Sessions: 10, Clients: 2, Steps: []step{
		{Do: rest, Linger: true, Wait: 100 * ms},
		{Do: leave, Node: 3, Linger: true, Wait: 300 * ms},
		{Do: bare, Node: 2, Wait: 20 * ms},
		{Do: leave, Wait: 300 * ms},
		{Do: join, Linger: true, Wait: 100 * ms},
		{Do: restart},
		{Do: join, Node: 3, Linger: true},
		{Do: restart, Node: 3},
		{Do: bare, Wait: 1000 * ms}}},
	// Marks of renewed sessions whose owner was not given their kind held up a leave until they were over.
	"one leaves beside one without the kind": {Seed: 0x11bd4f, Nodes: 4, Sessions: 10, Clients: 5, Steps: []step{
		{Do: bare, Wait: 20 * ms},
		{Do: near, Node: 3, Wait: 1000 * ms},
		{Do: leave, Node: 2, Wait: 1 * ms}}},
	// Who waited for an answer of a node that died while it drained waited for the last answers of one that has left.
	"a node loses power while it drains": {Seed: 8, Nodes: 3, Sessions: 4, Clients: 4, Faults: true, Quorum: 2,
		Steps: []step{
			{Do: leave, Node: 1, Wait: 2000 * ms},
			{Do: leave, Node: 3, Wait: 5 * ms},
			{Do: power, Node: 4, Linger: true, Wait: 100 * ms}}},
	// Three sides of a cut had acknowledged, ended and started the sessions. A standby at a target had seen what no
	// copy had that came from elsewhere, and each waited for the other. So did a tombstone.
	"four nodes are three sides of a cut": {Seed: 3, Nodes: 4, Sessions: 8, Clients: 3, Faults: true, Replicas: 2, Steps: []step{
		{Do: heal, Node: 1, Wait: 20 * ms},
		{Do: evict, Node: 4, Wait: 100 * ms},
		{Do: isolate, Node: 2, Wait: 1000 * ms},
		{Do: isolate, Node: 3, Wait: 10000 * ms},
		{Do: back, Node: 2, Linger: true, Wait: 2000 * ms},
		{Do: stall, Node: 1, Linger: true, Wait: 10000 * ms},
		{Do: evict, Node: 2, Linger: true},
		{Do: heal, Node: 1, Linger: true, Wait: 100 * ms}}},
	// A call was made again, and the first request came when the cut was mended, after its reply was dropped.
	"a node joins, two are cut off": {Seed: 2, Nodes: 2, Sessions: 16, Clients: 3, Faults: true, Replicas: 2, Steps: []step{
		{Do: far, Linger: true, Wait: 20 * ms},
		{Do: join, Node: 1, Linger: true, Wait: 1000 * ms},
		{Do: rest, Node: 4, Linger: true, Wait: 4000 * ms},
		{Do: join, Node: 3, Wait: 100 * ms},
		{Do: isolate, Node: 2, Linger: true, Wait: 4000 * ms}}},
	// Renew said that a session had kept its ID, which was renewed at the standby of a node that had begun that.
	"an owner dies while it hears what standbys there are": {Seed: 3, Nodes: 3, Sessions: 4, Clients: 2, Faults: true,
		Replicas: 1, Careful: true, Steps: []step{
			{Do: crash, Linger: true, Wait: 2 * ms, At: encoded, Nth: 17},
			{Do: far, Node: 4, Linger: true, Wait: 100 * ms},
			{Do: leave, Node: 1, Linger: true, Wait: 3000 * ms},
			{Do: mend},
			{Do: leave, Node: 4},
			{Do: back},
			{Do: crash, Node: 3, Wait: 100 * ms, At: reported, Nth: 3, After: 100 * us}}},
	// A session that had moved was quarantined, as if the node that it left had died of it.
	"nodes die while they fetch standbys": {Seed: 0x2f9e0d3bb50a6, Nodes: 3, Sessions: 8, Clients: 3, Faults: true,
		Replicas: 2, Careful: true, Steps: []step{
			{Do: mend},
			{Do: power, Node: 4},
			{Do: join},
			{Do: crash, Node: 4, Linger: true, Wait: 2 * ms, At: fetched, Nth: 1, After: 2 * ms},
			{Do: mend},
			{Do: power, Node: 4},
			{Do: back, Node: 1, Linger: true},
			{Do: crash, Node: 3, Linger: true, Wait: 100 * ms, At: fetched, Nth: 2, After: 100 * us},
			{Do: crash, Node: 1, Linger: true, Wait: 20 * ms, At: discards, Nth: 1}}},
}

const (
	us = time.Microsecond
	ms = time.Millisecond
)

// What has failed once does not fail again, on any of several tries: gossip is random.
func TestSchedulesThatFailedBeforePass(t *testing.T) {
	for name, s := range found {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range tries {
				r := simulate(t, s)
				require.Empty(t, r.faults, "%s", r.log)
			}
		})
	}
}
