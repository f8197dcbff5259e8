package sessionproc_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract, the same in both releases. It stands here twice, as both releases are in
// one program.
var (
	OldParcels = sessionproc.KindOf[string]("parcel")
	Parcels    = sessionproc.KindOf[string]("parcel")
	Contents   = sessionproc.MethodOf[sessionproc.None, map[string]int](Parcels, "contents")
	oldContent = sessionproc.MethodOf[sessionproc.None, map[string]int](OldParcels, "contents")
)

// OldParcel is the state of the earlier release, schema 0: a parcel had one item.
type OldParcel struct{ Item string }

func (p *OldParcel) contents(context.Context, sessionproc.None) (map[string]int, error) {
	return map[string]int{p.Item: 1}, nil
}

func oldParcels() sessionproc.AnyKind {
	k := sessionproc.NewKind(OldParcels, func(_ context.Context, item string) (*OldParcel, error) {
		return &OldParcel{item}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, oldContent, (*OldParcel).contents)
	return k
}

// Parcel is the state of this release, schema 1.
type Parcel struct{ Items map[string]int }

func (p *Parcel) contents(context.Context, sessionproc.None) (map[string]int, error) {
	return p.Items, nil
}

// migrate makes a state of this schema of one of an earlier schema.
func migrate(_ int, old OldParcel) (*Parcel, error) {
	return &Parcel{Items: map[string]int{old.Item: 1}}, nil
}

func parcels() sessionproc.AnyKind {
	k := sessionproc.NewKind(Parcels, func(_ context.Context, item string) (*Parcel, error) {
		return &Parcel{map[string]int{item: 1}}, nil
	}, sessionproc.KindConfig{Schema: 1, Migrate: sessionproc.MigrateFrom(migrate)})
	sessionproc.HandleCall(k, Contents, (*Parcel).contents)
	return k
}

// A session of the earlier release moves to a node of this one and is migrated. Nodes of
// the earlier release refuse it from then on.
func ExampleMigrateFrom() {
	ctx := context.Background()
	old, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{oldParcels()}})
	if err != nil {
		log.Fatal(err)
	}
	if err := OldParcels.Start(ctx, old, "ann", "tea"); err != nil {
		log.Fatal(err)
	}

	n, err := node.Start(ctx, node.Config{Join: []string{old.Addr()}, Kinds: []sessionproc.AnyKind{parcels()}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := old.Leave(ctx); err != nil {
		log.Fatal(err)
	}
	items, err := Contents.Call(ctx, n, "ann", sessionproc.None{})
	fmt.Println(items, err)
	// Output:
	// map[tea:1] <nil>
}
