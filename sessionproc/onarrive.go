package sessionproc

// An Arrival says how a state has arrived; see Kind.OnArrive. FromContext returns the session with
// its ID, incarnation and labels.
type Arrival struct {
	Reason ArrivalReason
}

// An ArrivalReason says why a state was decoded.
type ArrivalReason string

// The reasons of arrivals.
const (
	// ArrivalMoved: the session came from another node. Its incarnation is the same.
	ArrivalMoved ArrivalReason = "moved"
	// ArrivalRenewed: the session has a new ID (node.Node.Renew). Requests for the old ID get
	// ErrRenewed.
	ArrivalRenewed ArrivalReason = "renewed"
	// ArrivalRestarted: the session crashed and continues with its last state (RestartLastState).
	ArrivalRestarted ArrivalReason = "restarted"
	// ArrivalPromoted: the node that had the session is lost, and a copy of the session continues
	// in its place. The copy may lack the last changes.
	ArrivalPromoted ArrivalReason = "promoted"
	// ArrivalMerged: two copies of the session have met. The state is that of the copy that came,
	// or one that was restored because OnMerge failed. It continues, or OnMerge takes it in, or
	// OnEnd is called for it.
	ArrivalMerged ArrivalReason = "merged"
)
