package sessionproc

// endedMessage is the message of a watch on its way to its handler. It is what an Ended
// decodes from; an Ended encodes without the new ID.
type endedMessage struct {
	ID     string
	Reason string
	NewID  string `msgpack:",omitempty"`
}
