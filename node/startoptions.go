package node

// StartOptions says how an untyped start makes a session.
type StartOptions struct {
	Kind string // "": the DefaultKind of the session's node
	Arg  any    // the start function's argument; nil: its zero value
}
