package core

// A SavedCast is a queued cast on its way to another node.
type SavedCast struct {
	Method  string
	Raw     bool `msgpack:",omitempty"`
	NoTouch bool `msgpack:",omitempty"`
	Payload []byte
	Own     uint8  `msgpack:",omitempty"` // ownWatch, ownTick or ownTask; 0: a cast of a user
	Trace   []byte `msgpack:",omitempty"` // what Inject gave; an earlier release does not know it
}
