package main

import (
	"context"
	"time"
)

// renewKill kills a node while sessions are given one new ID after another.
func renewKill(ctx context.Context, f *fleet) error {
	const into = 2 * time.Second
	x := &fault{kept: f.standbys >= 1}
	victims := f.newest(1)
	others := f.staying()[:len(f.staying())-1]
	if _, err := f.ask(ctx, others, func(int) order { return order{Do: roam} }); err != nil {
		return err
	}
	if err := wait(ctx, into); err != nil {
		return err
	}
	if err := f.crash(ctx, x, victims); err != nil {
		return err
	}
	if err := f.takeOver(ctx, x); err != nil {
		return err
	}
	answers, err := f.ask(ctx, others, func(int) order { return order{Do: roamed} })
	for _, a := range answers {
		x.renewed += a.Count
		f.breaches(a.Wrong)
	}
	return err
}

// logoutKill kills a node while people end all their sessions.
func logoutKill(ctx context.Context, f *fleet) error {
	const into = 2 * time.Second
	x := &fault{kept: f.standbys >= 1}
	victims := f.newest(1)
	others := f.staying()[:len(f.staying())-1]
	if _, err := f.ask(ctx, others, func(int) order { return order{Do: login} }); err != nil {
		return err
	}
	if err := together(
		func() error {
			answers, err := f.ask(ctx, others, func(int) order { return order{Do: logout} })
			for _, a := range answers {
				x.unsureLogouts += a.Count
			}
			return err
		},
		func() error {
			if err := wait(ctx, into); err != nil {
				return err
			}
			return f.crash(ctx, x, victims)
		},
	); err != nil {
		return err
	}
	if err := f.takeOver(ctx, x); err != nil {
		return err
	}
	answers, err := f.ask(ctx, others, func(int) order { return order{Do: loggedIn} })
	for _, a := range answers {
		f.breaches(a.Wrong)
	}
	return err
}

// breaches notes broken promises, the first of them in full.
func (f *fleet) breaches(wrong []string) {
	for i, text := range wrong {
		if i == maxSamples {
			f.account.breach("and %d more", len(wrong)-i)
			return
		}
		f.account.breach("%s", text)
	}
}
