// Package endpoint is the port of a node: TCP and UDP of the same number. It decides which
// peers may talk to the node, and it dials other nodes. Package node gives the endpoint's
// connections to package transport and its gossip transport to package cluster.
//
// # Threats
//
// Anybody who can reach the port can open connections. Such a stranger must not be able to
// read or change a session, to join, to keep members from connecting, or to spend more than a
// bounded share of the processor. The first two are the task of TLS and of the hellos, the
// others the task of strangers, turnstile and knock:
//
//   - strangers bounds the connections whose peer is not authenticated, and chooses the one to
//     close when there are too many;
//   - turnstile bounds the processor time for their TLS handshakes, and chooses the next one;
//   - knock lets a member pass both, with one HMAC, during a flood from everywhere.
//
// # A connection, file by file
//
//	listener.go    accept; the first byte says what the connection is for
//	strangers.go   a bounded number of unauthenticated connections
//	turnstile.go   the order in which their TLS handshakes proceed
//	knock.go       a proof in a member's first record, which lets it pass a flood
//	tls.go         TLS, of Config.TLS or of a secret
//	preface.go     the purpose of a connection without TLS; refusals
//	hello.go       what each side says about itself
//	auth.go        whether two hellos fit, and the proof that both sides have the secret
//	dial.go        the dialer's side of all this
//
// gossip.go gives memberlist its packets and streams. address.go works out the addresses to
// bind and to advertise. sockets.go is the network below, and secret.go derives the keys of a
// secret.
//
// # The files
//
// Each uses those below it: endpoint.go, listener.go, gossip.go, dial.go, state.go (an Endpoint
// and its Config), tls.go, turnstile.go, knock.go, auth.go, conns.go (connections that know
// how far they have come), strangers.go, sockets.go, address.go, secret.go, hello.go and
// preface.go.
//
// # Locks
//
// turnstile and strangers have a lock each, and the former comes first: the turnstile asks
// the strangers which connection is next. Under the locks of knocks and gossip no other
// is taken.
package endpoint
