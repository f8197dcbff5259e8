package cluster_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/cluster"
)

func Example() {
	ctx := context.Background()
	first, err := startMember(ctx, "web-0")
	if err != nil {
		panic(err)
	}
	defer first.Close()
	seed, _ := first.View().Find("web-0")
	second, err := startMember(ctx, "web-1", seed.Addr)
	if err != nil {
		panic(err)
	}
	if err := second.SetState(cluster.Serving); err != nil {
		panic(err)
	}
	for v := range second.Updates() {
		if len(v.Members) == 2 && len(v.Serving()) == 1 {
			fmt.Println(v.Members[0].Slot, v.Members[0].State)
			fmt.Println(v.Members[1].Slot, v.Members[1].State)
			break
		}
	}
	if err := second.Leave(ctx); err != nil {
		panic(err)
	}
	// Output:
	// web-0 joining
	// web-1 serving
}

// startMember takes memberlist's own transport; a node gives one that shares its port.
func startMember(ctx context.Context, slot string, seeds ...string) (*cluster.Cluster, error) {
	transport, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{"127.0.0.1"}, Logger: log.New(io.Discard, "", 0),
	})
	if err != nil {
		return nil, err
	}
	return cluster.Start(ctx, cluster.Config{
		Name: "shop",
		Self: cluster.Member{
			Slot: slot,
			Boot: cluster.NewBoot(time.Now(), 0),
			Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(transport.GetAutoBindPort())),
		},
		Transport: transport,
		Join:      seeds,
	})
}
