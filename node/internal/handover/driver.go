package handover

import (
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/roster"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
)

// New returns a driver that is not started: it is a Gate that lets nothing in.
func New(env Env) *Driver {
	d := &Driver{
		env:   env,
		life:  lifetime.New(env.Parent),
		inbox: make(chan ownershipBatch, 1024),
		kick:  make(chan struct{}, 1), again: make(chan struct{}, 1),
		fetches: semaphore.NewWeighted(max(env.HandoffMemory, engine.MaxSnapshot)),
		parts:   make([]driven, env.Partitions),
		lanes:   map[string]*lane{}, former: map[string]former{},
		came: map[string]time.Time{}, asked: map[int]pace{},
		replicas: make(replicas, env.Partitions), tending: tending{wake: make(chan struct{}, 1)},
		promoting: semaphore.NewWeighted(promotingAtOnce),
	}
	d.ctx = d.life.Context()
	d.waker.wake = make(chan struct{}, 1)
	d.addrs.Store(&map[string]string{})
	d.bound.init(env.HandoffBytesPerSecond)
	d.bulk = bulk{rate: handoffRate(env.HandoffRate), gathers: longestBeat, within: env.DrainTimeout / 2}
	d.repair = repair{wake: make(chan struct{}, 1), pace: d.bulk}
	d.repair.pace.gathers = repairBeat
	return d
}

// Start starts the machine and the driver's goroutines. The table is the one that has the
// driver as its Gate. What the members were given is in r.
func (d *Driver) Start(t *engine.Table, tr *transport.Transport, r *roster.Roster) error {
	d.use(t, tr, r)
	if d.env.Standbys {
		if err := d.keepStandbys(); err != nil {
			return err
		}
		d.life.Go(d.tend)
		d.life.Go(d.repairStandbys)
	}
	d.life.Go(d.handleBatches)
	d.life.Go(d.wakeWaiting)
	d.life.Go(d.retry)
	d.life.Go(d.handOver)
	return nil
}

// promotingAtOnce is of how many partitions relics are promoted at a time.
const promotingAtOnce = 4

// keepStandbys has this node keep standbys of other members' sessions, and have some of its own.
func (d *Driver) keepStandbys() (err error) {
	d.standbys = standby.NewTable(len(d.parts), d.env.StandbyMemory, engine.VersionCovers)
	d.listener = standby.NewListener(standby.ListenerConfig{
		Self: d.env.Name, Partitions: len(d.parts), MaxRecord: engine.MaxSnapshot, Decide: d.decide,
	})
	var sent func([]standby.Answer)
	if d.env.OnStep != nil {
		sent = d.saidSteps
	}
	d.speaker, err = standby.NewSpeaker(d.life.Context(), standby.SpeakerConfig{
		Self: d.env.Name, Log: d.env.Log, MaxRecord: engine.MaxSnapshot,
		Open: d.openStandby, Answered: d.answeredStandbys, Broken: d.tending.breaks, Room: d.tending.breaks,
		Sent: sent,
	})
	return err
}

func (d *Driver) use(t *engine.Table, tr *transport.Transport, r *roster.Roster) {
	d.table, d.transport, d.roster = t, tr, r
	d.m = ownership.New(d.env.Name, len(d.parts))
}

// Stop ends the driver. From now on sessions start and end without it. The
// caller waits for Wait.
func (d *Driver) Stop() {
	d.mu.Lock()
	d.closed = true
	for part := range d.parts {
		d.unshelveAllLocked(part, errClosed)
	}
	d.unlock()
	d.life.End()
	if d.speaker != nil {
		d.speaker.End()
	}
}

// Wait waits for all goroutines of the driver. It must be called after Stop.
func (d *Driver) Wait() { d.life.Wait() }

// Busy reports whether acquiring the driver would block during a view change.
// The first view of a big cluster holds mu for a while.
func (d *Driver) Busy() bool {
	if !d.changing.Load() {
		return false
	}
	if d.mu.TryRLock() {
		d.mu.RUnlock()
		return false
	}
	return true
}
