package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/sessionproc/sessionproc/integration/child"
)

// peer is a child as the parent sees it: it answers one order after another.
type peer struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	enc  *gob.Encoder
	dec  *gob.Decoder
}

// launch starts a child; its node is not started yet.
func launch(exe, name string) (*peer, error) {
	cmd, err := child.Command(exe, replicaRole, name)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &peer{name: name, cmd: cmd, in: in, enc: gob.NewEncoder(in), dec: gob.NewDecoder(out)}, nil
}

// do gives the child an order and returns its answer. When ctx ends the child is killed.
func (p *peer) do(ctx context.Context, o order) (a answer, err error) {
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	if err = p.enc.Encode(o); err == nil {
		err = p.dec.Decode(&a)
	}
	if err == nil && a.Err != "" {
		err = errors.New(a.Err)
	}
	if err != nil {
		return a, fmt.Errorf("%s: %s: %w", p.name, o.Do, err)
	}
	return a, nil
}

// end has the child end, at once if it does not do so by itself when its input ends.
func (p *peer) end() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// compute starts processes that use all the CPU they get, until the returned function is
// called or this process ends.
func compute(count int) (stop func(), err error) {
	var all []*peer
	stop = func() {
		for _, p := range all {
			p.end()
		}
	}
	for i := range count {
		p, err := launch("", fmt.Sprintf("busy%d", i+1))
		if err == nil {
			all = append(all, p)
			_, err = p.do(context.Background(), order{Do: spin})
		}
		if err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}
