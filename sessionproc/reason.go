package sessionproc

// A Reason says why a session ended. Session.Stop may be given any other text.
type Reason string

// The reasons that the library itself gives.
const (
	ReasonStopped    Reason = "stopped"    // a handler called Session.Stop without a reason
	ReasonTerminated Reason = "terminated" // node.Node.Terminate or TerminateLabelled was called
	ReasonExpired    Reason = "expired"    // KindConfig.IdleTimeout or Lifetime was over
	ReasonCrashed    Reason = "crashed"    // a handler panicked, and the session did not restart
	ReasonMoved      Reason = "moved"      // another node took the partition of a session with EndOnMove
	ReasonClosed     Reason = "closed"     // the node left the cluster or was closed
	ReasonRenewed    Reason = "renewed"    // the session continues under another ID
	ReasonConflict   Reason = "conflict"   // another copy of the session continues; changes of this one are lost

	// ReasonLost is the reason of an end of which no node knows more: the node that did has died or
	// left since, or the end is too long ago.
	ReasonLost Reason = "lost"
)
