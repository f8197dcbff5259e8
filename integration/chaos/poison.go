package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// poisonMost is how many processes one handler may end that ends its process: a call is
// repeated after the death of one member, and no more.
const poisonMost = 2

// poisonID is the ID of a session whose handler ends its process. Some are tried until one is another node's.
func (r *replica) poisonID(i int) string {
	return sessionproc.DeriveID(r.Run, fmt.Sprint("poison ", i))
}

const poisonIDs = 64

// takePoison calls a handler, at another node, that ends the process that it runs in. The call is made again where the
// session goes on, and that may be here.
func (r *replica) takePoison(ctx context.Context) error {
	id := ""
	for i := range poisonIDs {
		id = r.poisonID(i)
		if where, err := r.node.Where(id); err != nil || where.Owner.Name() != r.node.Name() {
			break
		}
	}
	if err := registers.Start(ctx, r.node, id, birth{Mark: noMark}); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := poison.Call(within, r.node, id, sessionproc.None{}); err == nil {
		return errors.New("the handler returned")
	}
	return nil
}

// cure ends the session.
func (r *replica) cure(ctx context.Context) error {
	for i := range poisonIDs {
		err := r.node.Terminate(ctx, r.poisonID(i))
		if err == nil || !errors.Is(err, sessionproc.ErrNotFound) {
			return err
		}
	}
	return errors.New("no session is there to be ended")
}

// poisoned has a handler end its process, and perhaps the next one.
func poisoned(ctx context.Context, f *fleet) error {
	x := &fault{dead: true, kept: f.standbys >= poisonMost, flight: flightTime, struck: time.Now().UnixNano()}
	left := f.staying()
	f.say("poison")
	caller := left[0]
	told := make(chan error, 1)
	go func() {
		_, err := caller.do(ctx, order{Do: take})
		told <- err
	}()
	for over := false; !over; {
		select {
		case err := <-told:
			if over = true; err != nil && !errors.Is(err, errEnded) {
				f.account.breach("poison: %v", err)
			}
		case <-time.After(time.Millisecond):
		}
		for _, p := range left {
			select {
			case <-p.ended:
			default:
				continue
			}
			left = slices.DeleteFunc(slices.Clone(left), func(q *process) bool { return q == p })
			if err := f.fell(ctx, x, p); err != nil {
				return err
			}
		}
	}
	if n := len(x.victims); n == 0 || n > poisonMost {
		f.account.breach("poison ended %d processes", n)
	}
	if err := f.takeOver(ctx, x); err != nil {
		return err
	}
	if _, err := left[0].do(ctx, order{Do: cure}); err != nil {
		f.account.breach("poison: %v", err)
	}
	return nil
}

// fell notes that a replica has ended by itself.
func (f *fleet) fell(ctx context.Context, x *fault, p *process) error {
	f.aim(x, []*process{p})
	f.mu.Lock()
	f.replicas = slices.DeleteFunc(f.replicas, func(q *process) bool { return q == p })
	f.mu.Unlock()
	return f.bury(ctx, x, []*process{p})
}
