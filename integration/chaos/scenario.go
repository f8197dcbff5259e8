package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// scenario is a change of the cluster under load.
type scenario struct {
	name   string
	usual  int                                                             // nodes, if it is not said
	least  int                                                             // that it needs
	first  func(nodes int) int                                             // how many there are before
	change func(ctx context.Context, f *fleet) (lostFields int, err error) // returns when it is over
	// not only changes in good order: sessions are ledgers
	faulty bool
	wired  bool // each node has a network namespace
	zones  int  // the nodes are in so many, by turns; 0: in none
}

var scenarios = append([]scenario{
	{name: "rolling", usual: 5, least: 2, first: asGiven, change: planned(rolling)},
	{name: "scale", usual: 5, least: 1, first: func(int) int { return 1 }, change: planned(scale)},
	{name: "drain2", usual: 5, least: 3, first: asGiven, change: planned(drain2)},
	{name: upgradeName, usual: 5, least: 2, first: asGiven, change: upgrade},
}, faults...)

func asGiven(nodes int) int { return nodes }

// planned is a change that no field can be lost at.
func planned(change func(context.Context, *fleet) error) func(context.Context, *fleet) (int, error) {
	return func(ctx context.Context, f *fleet) (int, error) { return 0, change(ctx, f) }
}

func findScenario(name string) (scenario, error) {
	for _, s := range scenarios {
		if s.name == name {
			return s, nil
		}
	}
	return scenario{}, fmt.Errorf("-scenario: there is no %q, only %s", name, scenarioNames())
}

func scenarioNames() string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func zone(i int) string { return fmt.Sprintf("zone%d", i+1) }

func slot(i int) string { return fmt.Sprintf("node%d", i+1) }

// rolling restarts every node, one after another.
func rolling(ctx context.Context, f *fleet) error { return f.restartAll(ctx, f.staying()) }

func (f *fleet) restartAll(ctx context.Context, replicas []*process) error {
	for _, p := range replicas {
		if err := f.restart(ctx, p.name); err != nil {
			return err
		}
	}
	return nil
}

// scale goes from one node to eight and to two.
func scale(ctx context.Context, f *fleet) error {
	const most, least = 8, 2
	for i := 1; i < most; i++ {
		if err := f.start(ctx, slot(i)); err != nil {
			return err
		}
	}
	for i := most - 1; i >= least; i-- {
		if err := f.stop(ctx, slot(i)); err != nil {
			return err
		}
	}
	return nil
}

// drain2 has the two oldest nodes leave at once while a new one joins.
func drain2(ctx context.Context, f *fleet) error {
	return together(
		func() error { return f.stop(ctx, slot(0)) },
		func() error { return f.stop(ctx, slot(1)) },
		func() error { return f.start(ctx, slot(f.nodes)) },
	)
}

// together does several things at the same time.
func together(do ...func() error) error {
	errs := make([]error, len(do))
	var wait sync.WaitGroup
	for i, d := range do {
		wait.Go(func() { errs[i] = d() })
	}
	wait.Wait()
	return errors.Join(errs...)
}
