// Package simnet is a network in memory that behaves like a real one. It has
// hosts with IP addresses, streams with buffers, back-pressure, half close and
// resets, packets that get lost and overtake one another, latency, cuts, and
// hosts that stall, crash or lose power.
//
//	n, _ := simnet.New(simnet.Config{Seed: 1})
//	a, b := n.Host(netip.MustParseAddr("10.0.0.1")), n.Host(netip.MustParseAddr("10.0.0.2"))
//	l, _ := a.Listen(ctx, "tcp", "10.0.0.1:80")
//	conn, _ := b.Dial(ctx, "tcp", "10.0.0.1:80")
//	n.Cut(a, b)  // nothing arrives; what was written waits
//	n.Heal(a, b) // it arrives
//
// Listen, ListenPacket and Dial of a Host have the signatures of
// net.ListenConfig and net.Dialer; addresses are *net.TCPAddr and
// *net.UDPAddr, and errors those of package net: *net.OpError around
// net.ErrClosed, os.ErrDeadlineExceeded, syscall.ECONNRESET and so on. Host
// names are not resolved.
//
// # Time
//
// The network uses package time only, and waits on channels and timers only. So
// it runs in virtual time in a testing/synctest bubble. A Network belongs to the
// bubble that it was made in. Outside of a bubble it runs in real time.
//
// Latency, loss and jitter are drawn from Config.Seed in the order in which the
// hosts send. If goroutines run in another order, other packets are affected.
//
// # What it does not have
//
// Bandwidth, fragmentation, keep-alive, and the timeouts of TCP itself: a stream
// over a cut lives until a program closes it. A dial between cut hosts, or to an
// address without a host, ends only with its ctx.
package simnet
