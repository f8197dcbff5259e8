package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/node"
)

const (
	startTime = 30 * time.Second // for all replicas to see one another
	killTime  = 15 * time.Second // for a replica to end after it was told to
)

// tier is the parent's side of the replicas: three processes of this very
// program, each with a node of its own.
type tier struct {
	order  order // what each replica is told, but for its name
	logger *slog.Logger
	life   context.Context
	stop   context.CancelFunc // ends life: it tells all of them to end
	died   chan *replica      // those that were not told to; somebody may read it
	busy   atomic.Bool        // a roll or a kill is under way: they take turns

	mu       sync.Mutex
	replicas []*replica // guarded by mu; never changed, but replaced
}

// replica is one of these processes.
type replica struct {
	name    string
	cmd     *exec.Cmd
	stop    context.CancelFunc // tells it to end
	leaving atomic.Bool        // it was told to, or says that it does
	killed  atomic.Bool        // by the page's button
	left    atomic.Int64       // sessions that have not moved yet, since it drains; -1: not known
	reports chan report        // at most two come, see report
	ended   chan struct{}      // closed when the process is reaped
	at      report             // where it is, set before anybody else sees the replica
}

// startTier starts a process for each name and returns when every node sees
// all the others. After an error nothing is left running.
func startTier(ctx context.Context, names []string, level slog.Level, logger *slog.Logger) (*tier, error) {
	t := &tier{logger: logger, died: make(chan *replica)}
	t.life, t.stop = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("the replicas did not find one another in time"))
	defer cancel()
	if err := t.start(ctx, names, level); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tier) start(ctx context.Context, names []string, level slog.Level) error {
	cookieKey := make([]byte, 32)
	rand.Read(cookieKey)
	t.order = order{Secret: node.NewSecret(), CookieKey: cookieKey, Replicas: names, LogLevel: level}
	var join []string
	for i, name := range names {
		r, err := t.spawn(name, join)
		if err != nil {
			return err
		}
		t.replicas = append(t.replicas, r)
		if i > 0 {
			continue
		}
		if r.at, err = r.report(ctx); err != nil { // the others join the first
			return err
		}
		join = []string{r.at.Node}
	}
	for _, r := range t.replicas {
		if err := r.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// all returns the replicas of this moment, in the order of their names.
func (t *tier) all() []*replica {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.replicas
}

// replace starts replica i again, which has ended. It joins the others.
func (t *tier) replace(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("the replica did not find the others in time"))
	defer cancel()
	before := t.all()
	var join []string
	for _, r := range before {
		if r.alive() {
			join = append(join, r.at.Node)
		}
	}
	r, err := t.spawn(before[i].name, join)
	if err != nil {
		return err
	}
	if err := r.ready(ctx); err != nil {
		r.leaving.Store(true)
		r.stop()
		<-r.ended
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replicas = slices.Clone(before)
	t.replicas[i] = r
	return nil
}

// spawn starts this program once more, as a replica that lives until it is told
// to end or this process does, however that comes about: its standard input ends
// then.
func (t *tier) spawn(name string, join []string) (*replica, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(t.life)
	cmd := exec.CommandContext(life, self, replicaRole)
	cmd.Stderr = os.Stderr
	dieWithParent(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		stop()
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		stop()
		return nil, err
	}
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = killTime
	if err := cmd.Start(); err != nil {
		stop()
		return nil, err
	}
	r := &replica{name: name, cmd: cmd, stop: stop, reports: make(chan report, 2), ended: make(chan struct{})}
	r.left.Store(-1)
	go t.watchReplica(r, stdout)
	o := t.order
	o.Name, o.Join = name, join
	// A replica that dies before it has read its orders shows in report.
	_ = json.NewEncoder(stdin).Encode(o)
	return r, nil
}

// watchReplica takes in what a process reports, and reaps it in the end.
func (t *tier) watchReplica(r *replica, stdout io.Reader) {
	in := json.NewDecoder(stdout)
	for {
		var rep report
		if err := in.Decode(&rep); err != nil {
			break
		}
		if rep.Draining {
			r.leaving.Store(true)
			r.left.Store(int64(rep.Sessions))
			continue
		}
		r.reports <- rep
	}
	io.Copy(io.Discard, stdout)
	_ = r.cmd.Wait() // how it ended is in ProcessState
	close(r.ended)
	if !r.leaving.Load() && !r.killed.Load() {
		select {
		case t.died <- r:
		case <-t.life.Done():
		}
	}
}

// ready waits until the replica is.
func (r *replica) ready(ctx context.Context) (err error) {
	for !r.at.Ready && err == nil {
		r.at, err = r.report(ctx)
	}
	return err
}

// leave tells the replica to end in good order, and returns when it has. One
// that has died already is no fault.
func (r *replica) leave(ctx context.Context) error {
	if !r.alive() {
		return nil
	}
	r.leaving.Store(true)
	r.stop()
	select {
	case <-r.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !r.cmd.ProcessState.Success() {
		return fmt.Errorf("replica %s: %v", r.name, r.cmd.ProcessState)
	}
	return nil
}

// sessionsLeft is how many sessions have not moved yet; -1: not known.
func (r *replica) sessionsLeft() int {
	if r == nil {
		return -1
	}
	return int(r.left.Load())
}

// report waits for the next report of the process.
func (r *replica) report(ctx context.Context) (report, error) {
	select {
	case rep := <-r.reports:
		return rep, nil
	case <-r.ended:
		return report{}, fmt.Errorf("replica %s ended before it was ready: %v", r.name, r.cmd.ProcessState)
	case <-ctx.Done():
		return report{}, context.Cause(ctx)
	}
}

// alive reports whether the process has not ended.
func (r *replica) alive() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// close tells all replicas to end and returns when they are gone; the error
// names those that had to be killed or failed at it.
func (t *tier) close() error {
	t.stop()
	var errs []error
	for _, r := range t.all() {
		<-r.ended
		if !r.cmd.ProcessState.Success() && !r.killed.Load() {
			errs = append(errs, fmt.Errorf("replica %s: %v", r.name, r.cmd.ProcessState))
		}
	}
	return errors.Join(errs...)
}
