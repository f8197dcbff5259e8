package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// attackRole is the child process that attacks.
const attackRole = "attack"

// attackConfig is what the attacker is told. It is bounded by its rate and by
// openMost.
type attackConfig struct {
	Kind      string
	Targets   []string // members' addresses, on loopback
	Addresses int      // that it comes from
	Near      bool     // and they are those of the members
	Rate      int      // new connections per second
	Hold      time.Duration
}

// openMost is how many connections the attacker has open at a time.
const openMost = 4000

// attackerAddr is the i-th address that an attack comes from.
func attackerAddr(i int, near bool) netip.Addr {
	if near {
		return memberAddr(i)
	}
	return netip.AddrFrom4([4]byte{127, 2, byte(i / 250), byte(1 + i%250)})
}

// An attacker opens connections.
type attacker struct {
	attackConfig
	hello  []byte
	open   chan struct{} // one for each connection
	made   atomic.Int64
	failed atomic.Int64
}

// runAttack is the role. It ends when its standard input does.
func runAttack(arg []byte) (string, func() error, error) {
	a := &attacker{open: make(chan struct{}, openMost)}
	if err := json.Unmarshal(arg, &a.attackConfig); err != nil {
		return "", nil, err
	}
	for _, t := range a.Targets {
		ap, err := netip.ParseAddrPort(t)
		if err != nil || !ap.Addr().IsLoopback() {
			return "", nil, fmt.Errorf("target %q is not on loopback", t)
		}
	}
	var err error
	if a.hello, err = clientHello(); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { a.run(ctx) })
	return "attacking", func() error { cancel(); done.Wait(); return nil }, nil
}

// run opens connections at the rate, in bursts of a few milliseconds.
func (a *attacker) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	begun, made := time.Now(), 0
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		due := int(time.Since(begun).Seconds() * float64(a.Rate))
		made = max(made, due-a.Rate/4) // what was not made in time is not made up for
		for ; made < due; made++ {
			select {
			case a.open <- struct{}{}:
			default:
				continue
			}
			i := made
			all.Go(func() {
				defer func() { <-a.open }()
				a.one(ctx, attackerAddr(i%a.Addresses, a.Near), a.Targets[i%len(a.Targets)])
			})
		}
	}
}

// one is one connection: it says what its kind says, and stays until it is closed.
func (a *attacker) one(ctx context.Context, from netip.Addr, to string) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 5 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		a.failed.Add(1)
		return
	}
	a.made.Add(1)
	_ = conn.(*net.TCPConn).SetLinger(0) // leaves no port behind
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	deadline := time.Now().Add(a.Hold)
	_ = conn.SetDeadline(deadline)
	switch a.Kind {
	case "hello":
		_, _ = conn.Write(a.hello)
	case "loris":
		go func() { // ends with the connection
			for i := range a.hello {
				if _, err := conn.Write(a.hello[i : i+1]); err != nil {
					return
				}
				time.Sleep(300 * time.Millisecond)
			}
		}()
	}
	b := make([]byte, 4096)
	for {
		if _, err := conn.Read(b); err != nil {
			return
		}
	}
}

// clientHello is what a client of TLS says first.
func clientHello() ([]byte, error) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	client := tls.Client(theirs, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"sessionproc/1"}})
	go func() { _ = client.Handshake() }() // ends when the pipe is closed
	b := make([]byte, 16<<10)
	n, err := ours.Read(b)
	return b[:n], err
}
