package transport

// A Class says what a connection is for. Bulk data and the records of standbys have
// connections of their own, so that a call never waits behind them, nor one of the two
// behind the other.
type Class uint8

const (
	// Calls carries requests of the side that dialled, and their answers.
	Calls Class = iota
	// Bulk carries streams, opened by the side that dialled.
	Bulk
	// Standby carries streams as Bulk does. Callers wait for what is on them.
	Standby
)

// String returns "calls", "bulk" or "standby".
func (c Class) String() string {
	switch c {
	case Bulk:
		return "bulk"
	case Standby:
		return "standby"
	}
	return "calls"
}

// streams reports whether connections of the class carry streams and no requests.
func (c Class) streams() bool { return c != Calls }
