package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/sessionproc/sessionproc/integration/child"
)

// process is a child as the parent sees it.
type process struct {
	name   string
	number int // unique in the run
	zone   string
	hello  hello
	ended  chan struct{} // closed when it has
	bye    report        // its last word; valid once it has ended

	cmd     *exec.Cmd
	greeted chan hello
	mu      sync.Mutex // guards the rest
	in      io.WriteCloser
	enc     *gob.Encoder
	next    int
	waiting map[int]chan report
}

// launch starts a child and waits until it says hello. All that it reports goes
// to take, which is called by one goroutine. What it logs is in dir. With w the
// visitor is the hub, and is to be launched first; replicas are plugged into it.
func launch(ctx context.Context, w *wires, exe, role, name, dir string, c childConfig, take func(report)) (*process,
	error) {
	cmd, err := child.Command(exe, role, c)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.log", name, c.Number)))
	if err != nil {
		return nil, fmt.Errorf("chaos: log of %s: %w", name, err)
	}
	defer log.Close()
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("chaos: %s: %w", name, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("chaos: %s: %w", name, err)
	}
	if w != nil {
		w.separate(cmd)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("chaos: %s: %w", name, permitted(err))
	}
	p := &process{name: name, number: c.Number, cmd: cmd, in: in, enc: gob.NewEncoder(in), ended: make(chan struct{}),
		greeted: make(chan hello, 1), waiting: map[int]chan report{}}
	go p.listen(out, take) // until the child ends
	if w != nil {
		if err := p.wire(ctx, w, role); err != nil {
			p.kill()
			return nil, err
		}
	}
	select {
	case p.hello = <-p.greeted:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("chaos: %s did not start, see %s", name, log.Name())
	case <-ctx.Done():
		p.kill()
		return nil, fmt.Errorf("chaos: %s did not start: %w", name, ctx.Err())
	}
}

func (p *process) wire(ctx context.Context, w *wires, role string) error {
	if role == visitorRole {
		return w.lay(ctx, p.cmd.Process.Pid)
	}
	if err := w.plug(ctx, p.number, p.cmd.Process.Pid); err != nil {
		return err
	}
	if err := p.enc.Encode(order{}); err != nil { // it waits for that
		return fmt.Errorf("chaos: %s: %w", p.name, err)
	}
	return nil
}

func (p *process) listen(out io.Reader, take func(report)) {
	defer close(p.ended)
	dec := gob.NewDecoder(out)
	for {
		var r report
		if dec.Decode(&r) != nil {
			_ = p.cmd.Wait() // bye says more than its exit code
			return
		}
		take(r)
		switch {
		case r.Hello != nil:
			p.greeted <- *r.Hello
		case r.Bye:
			p.bye = r
		case r.Answer != 0:
			p.mu.Lock()
			answer := p.waiting[r.Answer]
			delete(p.waiting, r.Answer)
			p.mu.Unlock()
			answer <- r
		}
	}
}

var errEnded = errors.New("the process has ended")

// do gives the child an order and returns what it answers.
func (p *process) do(ctx context.Context, d order) (report, error) {
	answer := make(chan report, 1)
	p.mu.Lock()
	p.next++
	d.ID = p.next
	p.waiting[d.ID] = answer
	err := p.enc.Encode(d)
	p.mu.Unlock()
	if err != nil {
		return report{}, fmt.Errorf("chaos: %s: %w", p.name, errEnded)
	}
	select {
	case r := <-answer:
		if r.Err != "" {
			err = fmt.Errorf("chaos: %s: %s: %s", p.name, d.Do, r.Err)
		}
		return r, err
	case <-p.ended:
		return report{}, fmt.Errorf("chaos: %s: %s: %w", p.name, d.Do, errEnded)
	case <-ctx.Done():
		return report{}, fmt.Errorf("chaos: %s: %s: %w", p.name, d.Do, ctx.Err())
	}
}

// terminate has the child end in good order, and waits for that.
func (p *process) terminate(ctx context.Context, sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("chaos: %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("chaos: %s did not end: %w", p.name, ctx.Err())
	}
	if !p.bye.Bye {
		return fmt.Errorf("chaos: %s ended without a word", p.name)
	}
	if p.bye.Err != "" {
		return fmt.Errorf("chaos: %s: %s", p.name, p.bye.Err)
	}
	return nil
}

// kill ends the child at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}
