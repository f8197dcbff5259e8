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
	replicas []*replica
	stop     context.CancelFunc // tells all of them to end
}

// replica is one of these processes.
type replica struct {
	name    string
	cmd     *exec.Cmd
	reports chan report   // at most two come, see report
	ended   chan struct{} // closed when the process is reaped
	at      report        // where it is, set before anybody else sees the replica
}

// startTier starts a process for each name and returns when every node sees
// all the others. After an error nothing is left running.
func startTier(ctx context.Context, names []string, level slog.Level) (*tier, error) {
	life, stop := context.WithCancel(context.Background())
	t := &tier{stop: stop}
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("the replicas did not find one another in time"))
	defer cancel()
	if err := t.start(ctx, life, names, level); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tier) start(ctx, life context.Context, names []string, level slog.Level) error {
	cookieKey := make([]byte, 32)
	rand.Read(cookieKey)
	o := order{Secret: node.NewSecret(), CookieKey: cookieKey, Replicas: names, LogLevel: level}
	for i, name := range names {
		o.Name = name
		r, err := spawn(life, o)
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
		o.Join = []string{r.at.Node}
	}
	for _, r := range t.replicas {
		for !r.at.Ready {
			var err error
			if r.at, err = r.report(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// spawn starts this program once more, as a replica that lives until life ends
// or this process does, however that comes about: its standard input ends then.
func spawn(life context.Context, o order) (*replica, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(life, self, replicaRole)
	cmd.Stderr = os.Stderr
	dieWithParent(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = killTime
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &replica{name: o.Name, cmd: cmd, reports: make(chan report, 2), ended: make(chan struct{})}
	go r.watch(stdout)
	// A replica that dies before it has read its orders shows in report.
	_ = json.NewEncoder(stdin).Encode(o)
	return r, nil
}

// watch passes on what the process reports, and reaps it in the end.
func (r *replica) watch(stdout io.Reader) {
	defer close(r.ended)
	in := json.NewDecoder(stdout)
	for range cap(r.reports) {
		var rep report
		if err := in.Decode(&rep); err != nil {
			break
		}
		r.reports <- rep
	}
	io.Copy(io.Discard, stdout)
	_ = r.cmd.Wait() // how it ended is in ProcessState
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
	for _, r := range t.replicas {
		<-r.ended
		if !r.cmd.ProcessState.Success() {
			errs = append(errs, fmt.Errorf("replica %s: %v", r.name, r.cmd.ProcessState))
		}
	}
	return errors.Join(errs...)
}
