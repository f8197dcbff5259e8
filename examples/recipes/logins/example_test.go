package logins_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A visitor is the session of a browser: a login renews its ID.
var (
	Visitors = sessionproc.KindOf[sessionproc.None]("visitor")
	Login    = sessionproc.MethodOf[string, sessionproc.None](Visitors, "login")
	Name     = sessionproc.MethodOf[sessionproc.None, string](Visitors, "name")
)

type Visitor struct{ User string }

// login comes after the renewal. The label is how an operator finds the user's sessions.
func (v *Visitor) login(ctx context.Context, user string) (sessionproc.None, error) {
	v.User = user
	return sessionproc.None{}, sessionproc.FromContext(ctx).SetLabel("user", user)
}

func (v *Visitor) name(context.Context, sessionproc.None) (string, error) { return v.User, nil }

// A room has a lasting name. It knows the IDs of its visitors, so it watches them.
var (
	Rooms = sessionproc.KindOf[sessionproc.None]("room")
	Enter = sessionproc.MethodOf[string, sessionproc.None](Rooms, "enter") // the visitor's ID
	Who   = sessionproc.MethodOf[sessionproc.None, []string](Rooms, "who")
	Gone  = sessionproc.NoticeOf[sessionproc.Ended](Rooms, "gone")
	Size  = sessionproc.EventOf[int](Rooms, "size")
)

type Room struct{ Members map[string]bool }

func newRoom(context.Context, sessionproc.None) (*Room, error) {
	return &Room{Members: map[string]bool{}}, nil
}

func (r *Room) enter(ctx context.Context, visitor string) (sessionproc.None, error) {
	r.Members[visitor] = true
	sessionproc.Watch(ctx, visitor, Gone)
	return sessionproc.None{}, Size.Publish(ctx, len(r.Members))
}

// gone follows a visitor to the new ID, or forgets one whose session has ended.
func (r *Room) gone(ctx context.Context, e sessionproc.Ended) error {
	delete(r.Members, e.ID)
	if e.NewID != "" {
		r.Members[e.NewID] = true
		sessionproc.Watch(ctx, e.NewID, Gone)
	}
	return Size.Publish(ctx, len(r.Members))
}

// who asks the visitors by the IDs that the room has.
func (r *Room) who(ctx context.Context, _ sessionproc.None) ([]string, error) {
	var names []string
	for id := range r.Members {
		name, err := Name.Call(ctx, sessionproc.FromContext(ctx).Cluster(), id, sessionproc.None{})
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func kinds() []sessionproc.AnyKind {
	v := sessionproc.NewKind(Visitors, func(context.Context, sessionproc.None) (*Visitor, error) {
		return &Visitor{"somebody"}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(v, Login, (*Visitor).login)
	sessionproc.HandleCall(v, Name, (*Visitor).name)
	r := sessionproc.NewKind(Rooms, newRoom, sessionproc.KindConfig{})
	sessionproc.HandleCall(r, Enter, (*Room).enter)
	sessionproc.HandleCall(r, Who, (*Room).who)
	sessionproc.HandleCast(r, Gone, (*Room).gone)
	sessionproc.HandleEvent(r, Size, func(r *Room) int { return len(r.Members) })
	return []sessionproc.AnyKind{v, r}
}

// A visitor enters a room, logs in, and logs out: the room follows.
func Example() {
	ctx := context.Background()
	n, err := node.Start(ctx, node.Config{Kinds: kinds()})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	room := sessionproc.DeriveID("room", "garden")
	visitor := sessionproc.NewID()
	for _, err := range []error{
		Rooms.Start(ctx, n, room, sessionproc.None{}),
		Visitors.Start(ctx, n, visitor, sessionproc.None{}),
	} {
		if err != nil {
			log.Fatal(err)
		}
	}
	if _, err := Enter.Call(ctx, n, room, visitor); err != nil {
		log.Fatal(err)
	}
	sizes, err := Size.Subscribe(ctx, n, room, sessionproc.SubscribeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer sizes.Close()
	next := func(what string) {
		u, err := sizes.Next(ctx)
		fmt.Println(what, u.Value, err)
	}
	next("members:")

	id, err := n.Renew(ctx, visitor) // package sessionhttp does this with the cookie
	if err != nil {
		log.Fatal(err)
	}
	if _, err := Login.Call(ctx, n, id, "ann"); err != nil {
		log.Fatal(err)
	}
	next("after the login:")
	fmt.Println(Who.Call(ctx, n, room, sessionproc.None{}))

	fmt.Println(n.TerminateLabelled(ctx, "user", "ann")) // log out everywhere
	next("after the logout:")
	// Output:
	// members: 1 <nil>
	// after the login: 1 <nil>
	// [ann] <nil>
	// 1 <nil>
	// after the logout: 0 <nil>
}
