package engine

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// contained runs f, which calls functions or methods of a kind. A panic of theirs, or a
// runtime.Goexit, is logged under a reference and becomes an error.
func (t *Table) contained(id string, k *core.Kind, what string, f func() error) (err error) {
	if fault := core.Apart(func() { err = f() }); fault != nil {
		return t.faultOf(id, k, what, fault)
	}
	return err
}

// coded is contained for an f that encodes or decodes a state. One whose kind has no code
// for that runs where it is called.
func (t *Table) coded(id string, k *core.Kind, what string, f func() error) (err error) {
	if k.Codes {
		return t.contained(id, k, what, f)
	}
	defer t.recovered(id, k, what, &err)
	return f()
}

// recovered, deferred, makes an error of a panic.
func (t *Table) recovered(id string, k *core.Kind, what string, err *error) {
	if cause := recover(); cause != nil {
		*err = t.faultOf(id, k, what, core.FaultOf(cause))
	}
}

func (t *Table) faultOf(id string, k *core.Kind, what string, fault *core.Fault) error {
	reference := newReference()
	t.cfg.Logger.Error(what+" panicked", "session", sessionproc.LogID(id), "kind", k.Name, "reference", reference,
		"panic", fault.Text, "stack", string(fault.Stack))
	return fmt.Errorf("%s panicked; the log of %s has the reference %s", what, t.here(), reference)
}

// here names the node, in errors that others read.
func (t *Table) here() string {
	if t.cfg.Node == "" {
		return "this node"
	}
	return "node " + t.cfg.Node
}

// newReference returns a random number by which a line of a log is found.
func newReference() string {
	var b [5]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
