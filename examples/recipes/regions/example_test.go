package regions_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Rooms = sessionproc.KindOf[string]("room")
	Name  = sessionproc.MethodOf[sessionproc.None, string](Rooms, "name")
)

type Room struct{ Name string }

func newRoom(_ context.Context, name string) (*Room, error) { return &Room{name}, nil }

func (r *Room) name(context.Context, sessionproc.None) (string, error) { return r.Name, nil }

// startIn starts a node in a region. Nodes of other regions are refused, by the name of
// the cluster and by its secret.
func startIn(ctx context.Context, region, secret string, join ...string) (*node.Node, error) {
	k := sessionproc.NewKind(Rooms, newRoom, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Name, (*Room).name)
	return node.Start(ctx, node.Config{
		Cluster: "shop-" + region, Secret: secret,
		Join: join, JoinTimeout: 2 * time.Second,
		Kinds: []sessionproc.AnyKind{k},
	})
}

// Two regions have two sessions of one name, and cannot be joined by mistake.
func Example() {
	ctx := context.Background()
	eu, err := startIn(ctx, "eu", node.NewSecret())
	if err != nil {
		log.Fatal(err)
	}
	defer eu.Close()
	us, err := startIn(ctx, "us", node.NewSecret())
	if err != nil {
		log.Fatal(err)
	}
	defer us.Close()

	id := sessionproc.DeriveID("room", "garden")
	fmt.Println(Rooms.Start(ctx, eu, id, "Garten"))
	fmt.Println(Rooms.Start(ctx, us, id, "yard"))
	for _, n := range []*node.Node{eu, us} {
		fmt.Println(Name.Call(ctx, n, id, sessionproc.None{}))
	}

	_, err = startIn(ctx, "us", node.NewSecret(), eu.Addr())
	fmt.Println("joins the other region:", err == nil)
	// Output:
	// <nil>
	// <nil>
	// Garten <nil>
	// yard <nil>
	// joins the other region: false
}
