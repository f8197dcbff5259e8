package main

import (
	"context"
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/node"
)

// drained is how a drain went.
type drained struct {
	Err      string
	TooLong  time.Duration // when Drain said that its deadline cannot be met; 0: it did not
	Took     time.Duration
	First    time.Duration // when the first session had moved
	Left     int
	Estimate time.Duration // before
	Bytes    int64
	Course   []point
}

// point is where a drain stood at a moment.
type point struct {
	At       time.Duration
	Left     int           // sessions
	Estimate time.Duration // what DrainEstimate says
	Progress time.Duration // and Progress
}

const (
	lookEvery = 10 * time.Millisecond
	noteEvery = 250 * time.Millisecond
)

// drain drains the node and looks on.
func (r *replica) drain(deadline time.Duration) *drained {
	d := &drained{Estimate: r.n.DrainEstimate().Takes}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	done := make(chan error, 1)
	begin := time.Now()
	go func() {
		err := r.n.Drain(ctx)
		for errors.Is(err, node.ErrDrainTooLong) { // it goes on all the same, and may be done in time after all
			if d.TooLong == 0 {
				d.TooLong = time.Since(begin)
			}
			time.Sleep(time.Second)
			err = r.n.Drain(ctx)
		}
		done <- err
	}()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for noted := time.Duration(0); ; {
		select {
		case err := <-done:
			d.Took, d.Left = time.Since(begin), r.n.Sessions()
			d.Bytes = r.n.Progress().Bytes
			if err != nil {
				d.Err = err.Error()
			}
			return d
		case <-ticker.C:
		}
		p := r.n.Progress()
		at := time.Since(begin)
		if d.First == 0 && p.Moved > 0 {
			d.First = at
		}
		if at-noted >= noteEvery {
			noted = at
			d.Course = append(d.Course, point{at, p.Sessions, r.n.DrainEstimate().Takes, p.Left})
		}
	}
}

// wrong is the worst factor by which what was foreseen, by f, differs from what happened:
// from the first second on, and until a second was left. 0: it is not known, as the drain was
// not done.
func (d *drained) wrong(f func(point) time.Duration) (worst float64) {
	if d.Left > 0 {
		return 0
	}
	for _, p := range d.Course {
		left := d.Took - p.At
		if p.At < time.Second || left < time.Second {
			continue
		}
		foreseen := max(f(p), time.Millisecond)
		worst = max(worst, foreseen.Seconds()/left.Seconds(), left.Seconds()/foreseen.Seconds())
	}
	return worst
}
