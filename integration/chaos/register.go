package main

import (
	"context"
	"os"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// The contract of the sessions under load: registers that count their writes.
var (
	registers = sessionproc.KindOf[birth]("register")
	write     = sessionproc.MethodOf[sessionproc.None, written](registers, "write")
	read      = sessionproc.MethodOf[sessionproc.None, content](registers, "read")
	poison    = sessionproc.MethodOf[sessionproc.None, sessionproc.None](registers, "poison")
)

// birth is what a session is started with.
type birth struct {
	Mark   int    // its mark in the file of marks; noMark for none
	Person string // its label; "": none
}

// written is the reply of a write.
type written struct {
	Number uint64 // of this write, from 1: no two of a session are equal
}

// content is the reply of a read.
type content struct {
	Number uint64 // of the last write
}

func newRegisters(m *marks, replicas int) sessionproc.AnyKind {
	k := sessionproc.NewKind(registers, func(ctx context.Context, b birth) (*register, error) {
		if b.Person != "" {
			if err := sessionproc.FromContext(ctx).SetLabel(personLabel, b.Person); err != nil {
				return nil, err
			}
		}
		return &register{Mark: b.Mark}, nil
	}, sessionproc.KindConfig{Replicas: replicas})
	sessionproc.HandleCall(k, write, func(r *register, _ context.Context, _ sessionproc.None) (written, error) {
		leave := m.enter(r.Mark, r.Number)
		r.Number++
		leave(r.Number)
		return written{r.Number}, nil
	})
	sessionproc.HandleCall(k, read, func(r *register, _ context.Context, _ sessionproc.None) (content, error) {
		m.enter(r.Mark, r.Number)(r.Number)
		return content{r.Number}, nil
	}, sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, poison, func(*register, context.Context, sessionproc.None) (none sessionproc.None,
		err error) {
		os.Exit(1)
		return none, nil
	})
	bindRelease(k)
	return k
}
