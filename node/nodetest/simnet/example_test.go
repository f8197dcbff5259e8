package simnet_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

func Example() {
	ctx := context.Background()
	n, err := simnet.New(simnet.Config{Link: simnet.Link{Latency: time.Millisecond}})
	if err != nil {
		panic(err)
	}
	server, client := n.Host(netip.MustParseAddr("10.0.0.1")), n.Host(netip.MustParseAddr("10.0.0.2"))
	l, _ := server.Listen(ctx, "tcp", "10.0.0.1:80")
	out, _ := client.Dial(ctx, "tcp", "10.0.0.1:80")
	in, _ := l.Accept()

	n.Cut(client, server)
	fmt.Fprint(out, "hello") // waits in the stream
	buf := make([]byte, 100)
	in.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = in.Read(buf)
	fmt.Println(err)

	n.Heal(client, server)
	in.SetReadDeadline(time.Time{})
	k, _ := in.Read(buf)
	fmt.Println(string(buf[:k]))

	server.Crash()
	_, err = out.Read(buf)
	fmt.Println(err)
	_, err = client.Dial(ctx, "tcp", "10.0.0.1:80")
	fmt.Println(err)
	// Output:
	// read tcp 10.0.0.1:80->10.0.0.2:49152: i/o timeout
	// hello
	// read tcp 10.0.0.2:49152->10.0.0.1:80: read: connection reset by peer
	// dial tcp 10.0.0.1:80: connect: connection refused
}
