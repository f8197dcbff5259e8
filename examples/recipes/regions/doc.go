// Package regions is a recipe: one cluster in each region, and none across regions.
//
// # The problem
//
// A shop runs in Frankfurt and in Virginia, and one cluster over both looks tempting: any
// replica reaches any session. Do not do it. All nodes of a cluster belong into one
// network with round trips of about a millisecond; several zones of one region are fine.
//
// # Why not
//
//   - Latency. A session lives on a random node of the cluster. With two equal regions
//     half of all calls cross the ocean, 80 to 100 ms there and back, for every customer.
//   - Gossip. The Fast profile finds a dead host in 2.4 to 3.9 s. For that it expects answers
//     to its probes within 200 ms. Packets that are lost or late between
//     regions make living nodes look dead. Their sessions are then started anew elsewhere,
//     and may run twice for a while.
//   - Partitions. The line between two regions is what breaks first, and it parts the
//     cluster in the middle. Without Quorum both sides serve, and sessions that changed on
//     both are merged or one is dropped (ReasonConflict). With Quorum above half, one
//     region answers nothing (ErrNoQuorum); with equal regions neither may.
//   - Every join or leave has all members tell one another before partitions move. One
//     slow member slows each deploy of the other region.
//
// # What to write
//
// Give each region a cluster of its own name and its own secret:
//
//	node.Config{
//		Cluster: "shop-eu",
//		Join:    []string{"web.eu.internal:7946"},
//		Secret:  os.Getenv("SESSIONPROC_SECRET"), // another one in each region
//	}
//
// With different names and secrets a wrong entry in Join is an error of node.Start, and
// not one large cluster.
//
// Keep a browser in its region. Name the region in the host (eu.shop.example), or let the
// load balancer choose it by a cookie of its own. The session cookie is of the host that
// answered, so that the two regions have two sessions of one browser. Use a different
// sessionhttp key in each region if they share a domain.
//
// # What is per region then
//
//   - Sessions and their IDs. A browser that changes its region starts anew.
//   - sessionproc.DeriveID: the room "garden" exists once in each region. Something that
//     must exist once in the world has a home region; others reach it by HTTP.
//   - TerminateLabelled, List, Stats, Broadcast: they see one cluster. To log a user out
//     everywhere, each region offers it as an HTTP call, and one handler calls all of them.
//   - MaxSessions, rates, Quorum, and the loss of a crash.
//   - Releases: deploy one region after the other, and the first one is a trial.
//
// What belongs to the user and not to the visit (orders, the cart of a known customer)
// is in a database that is replicated between regions.
//
// # When a region is lost
//
// Send its browsers to another one. They get new sessions there: their old ones were in
// memory. They log in again, and the application reads what is theirs from the database.
// Leave room for them: with two regions each carries both (see package memory).
package regions
