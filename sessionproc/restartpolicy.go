package sessionproc

// A RestartPolicy is a value of KindConfig.Restart.
type RestartPolicy uint8

const (
	// RestartNever ends a session that crashes.
	RestartNever RestartPolicy = iota
	// RestartLastState continues with the state that the last completed handler left, and with the
	// session's timers and tasks. The state is therefore encoded, as for a move, before each message whose
	// method is not ReadOnly; that is the cost of the policy. A state that cannot be encoded, or
	// that is larger than KindConfig.MaxState, is not kept: a crash then ends the session.
	RestartLastState
	// RestartFresh calls the start function again, with the argument of the original start, which
	// is kept encoded. The session loses its timers and tasks. The start function gets a ctx with the node's
	// CallTimeout and does not wait for its turn (MaxStarting). Its failure counts as another
	// crash.
	RestartFresh
)
