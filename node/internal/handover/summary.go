package handover

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// summaryInterval is how long moves are gathered that a line of the log sums up.
const summaryInterval = time.Second

// A summary sums up the moves of a second for the log: one line for each member and direction. At Debug it says
// each of them.
type summary struct {
	mu    sync.Mutex
	of    map[summaryOf]*summed // guarded by mu
	each  bool                  // guarded by mu: the log wants each move
	sums  bool                  // guarded by mu: it wants sums
	waits bool                  // guarded by mu: a goroutine is to write them
}

type summaryOf struct {
	peer    string
	arrived bool
}

type summed struct {
	sessions int
	bytes    int64
	longest  time.Duration
}

// summarizeLocked has a move be said in the log.
func (d *Driver) summarizeLocked(m *Move) {
	s := &d.summary
	s.mu.Lock()
	if !s.waits {
		ctx := context.Background()
		s.each, s.sums = d.env.Log.Enabled(ctx, slog.LevelDebug), d.env.Log.Enabled(ctx, slog.LevelInfo)
		s.waits = d.life.Go(d.writeSummary)
	}
	each := s.each
	if s.sums {
		key := summaryOf{m.Peer, m.Arrived}
		sum := s.of[key]
		if sum == nil {
			sum = new(summed)
			if s.of == nil {
				s.of = map[summaryOf]*summed{}
			}
			s.of[key] = sum
		}
		sum.sessions++
		sum.bytes += int64(m.Size)
		sum.longest = max(sum.longest, m.Duration)
	}
	s.mu.Unlock()
	if !each {
		return
	}
	one := *m
	d.later = append(d.later, func() {
		if session := sessionproc.LogID(one.Session); one.Arrived {
			d.env.Log.Debug("session came", "session", session, "kind", one.Kind, "peer", one.Peer, "bytes", one.Size)
		} else {
			d.env.Log.Debug("session moved", "session", session, "kind", one.Kind, "peer", one.Peer, "bytes", one.Size,
				"took", one.Duration)
		}
	})
}

// writeSummary writes the lines of the next second.
func (d *Driver) writeSummary() {
	lifetime.Pause(d.ctx, summaryInterval)
	s := &d.summary
	s.mu.Lock()
	of := s.of
	s.of, s.waits = nil, false
	s.mu.Unlock()
	for key, sum := range of {
		if key.arrived {
			d.env.Log.Info("sessions came", "peer", key.peer, "count", sum.sessions, "bytes", sum.bytes)
		} else {
			d.env.Log.Info("sessions moved", "peer", key.peer, "count", sum.sessions, "bytes", sum.bytes,
				"longest", sum.longest)
		}
	}
}
