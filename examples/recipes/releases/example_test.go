package releases_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract of the earlier release.
var (
	profiles = sessionproc.KindOf[string]("profile")
	look     = sessionproc.MethodOf[sessionproc.None, View](profiles, "look")
)

// The contract of the later release has the same names, and one method more. In a
// repository the two are one file at two commits.
var (
	Profiles = sessionproc.KindOf[string]("profile")
	Look     = sessionproc.MethodOf[sessionproc.None, View](Profiles, "look")
	Rename   = sessionproc.MethodOf[string, sessionproc.None](Profiles, "rename")
)

// View is a reply. The earlier release does not fill Nick.
type View struct{ Name, Nick string }

// before is the state of the earlier release.
type before struct{ Name string }

func (p *before) look(context.Context, sessionproc.None) (View, error) {
	return View{Name: p.Name}, nil
}

func earlier() sessionproc.AnyKind {
	k := sessionproc.NewKind(profiles, func(_ context.Context, name string) (*before, error) {
		return &before{name}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, look, (*before).look)
	return k
}

// after is the state of the later release. It has a field more.
type after struct{ Name, Nick string }

func (p *after) look(context.Context, sessionproc.None) (View, error) {
	return View{p.Name, p.Nick}, nil
}

func (p *after) rename(_ context.Context, nick string) (sessionproc.None, error) {
	p.Nick = nick
	return sessionproc.None{}, nil
}

func later() sessionproc.AnyKind {
	k := sessionproc.NewKind(Profiles, func(_ context.Context, name string) (*after, error) {
		return &after{Name: name}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Look, (*after).look)
	sessionproc.HandleCall(k, Rename, (*after).rename)
	return k
}

// replace starts a node with a kind and has the one before leave, as a deploy does.
func replace(ctx context.Context, old *node.Node, k sessionproc.AnyKind) *node.Node {
	cfg := node.Config{Kinds: []sessionproc.AnyKind{k}}
	if old != nil {
		cfg.Join = []string{old.Addr()}
	}
	n, err := node.Start(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	if old != nil {
		if err := old.Leave(ctx); err != nil {
			log.Fatal(err)
		}
	}
	return n
}

// A deploy, a rollback and a deploy again: the earlier release keeps a field that it does
// not know, and says of a method that it does not know it.
func Example() {
	ctx := context.Background()
	n := replace(ctx, nil, earlier())
	if err := Profiles.Start(ctx, n, "ann", "Ann"); err != nil {
		log.Fatal(err)
	}
	_, err := Rename.Call(ctx, n, "ann", "Annie")
	fmt.Println("earlier: unknown method:", errors.Is(err, sessionproc.ErrUnknownMethod))

	n = replace(ctx, n, later())
	_, err = Rename.Call(ctx, n, "ann", "Annie")
	fmt.Println("later: renamed:", err)

	n = replace(ctx, n, earlier())
	view, err := Look.Call(ctx, n, "ann", sessionproc.None{})
	fmt.Printf("rolled back: %+v %v\n", view, err)

	n = replace(ctx, n, later())
	defer n.Close()
	view, err = Look.Call(ctx, n, "ann", sessionproc.None{})
	fmt.Printf("later again: %+v %v\n", view, err)
	// Output:
	// earlier: unknown method: true
	// later: renamed: <nil>
	// rolled back: {Name:Ann Nick:} <nil>
	// later again: {Name:Ann Nick:Annie} <nil>
}
