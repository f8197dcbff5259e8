// Package endpoint is the one port of a node: TCP and UDP of the same number, who may talk
// to it, and how it dials others. Package node gives its connections to package transport
// and its gossip to package cluster.
//
// # A connection, file by file
//
//	listener.go    accept; the first byte says what the connection is for
//	strangers.go   a bounded number of connections whose peer is not known yet
//	turnstile.go   in which order those get a place
//	knock.go       a member's first record, which gives it a place during a flood
//	tls.go         TLS, of Config.TLS or of a secret
//	preface.go     what the connection is for: calls, bulk data, gossip; and refusals
//	hello.go       what each side says of itself
//	auth.go        whether the hellos fit, and the proof that both have the secret
//	dial.go        the same from the other side
//
// gossip.go gives memberlist its packets and streams. address.go works out what to bind and
// what to advertise, sockets.go is the network below, secret.go the keys of a secret.
package endpoint
