package sessionproc

import "fmt"

// contained runs f, which calls functions or methods of a kind. A panic of theirs, or a
// runtime.Goexit, is logged under a reference and becomes an error.
func (t *Table) contained(id string, k *kindCore, what string, f func() error) (err error) {
	if fault := Apart(func() { err = f() }); fault != nil {
		return t.faultOf(id, k, what, fault)
	}
	return err
}

// coded is contained for an f that encodes or decodes a state. One whose kind has no code
// for that runs where it is called.
func (t *Table) coded(id string, k *kindCore, what string, f func() error) (err error) {
	if k.codes {
		return t.contained(id, k, what, f)
	}
	defer t.recovered(id, k, what, &err)
	return f()
}

// recovered, deferred, makes an error of a panic.
func (t *Table) recovered(id string, k *kindCore, what string, err *error) {
	if cause := recover(); cause != nil {
		*err = t.faultOf(id, k, what, FaultOf(cause))
	}
}

func (t *Table) faultOf(id string, k *kindCore, what string, fault *Fault) error {
	reference := newReference()
	t.cfg.Logger.Error(what+" panicked", "session", LogID(id), "kind", k.name, "reference", reference,
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
