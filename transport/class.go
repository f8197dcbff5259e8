package transport

// A Class says what a connection is for. Bulk data has connections of its own,
// so that a call never waits behind it.
type Class uint8

const (
	// Calls carries requests of the side that dialled, and their answers.
	Calls Class = iota
	// Bulk carries streams, opened by the side that dialled.
	Bulk
)

// String returns "calls" or "bulk".
func (c Class) String() string {
	if c == Bulk {
		return "bulk"
	}
	return "calls"
}
