package core

// EndedMessage is the message of a watch on its way to its handler. It is what an Ended
// decodes from; an Ended encodes without the new ID.
type EndedMessage struct {
	ID     string
	Reason string
	NewID  string `msgpack:",omitempty"`
}
