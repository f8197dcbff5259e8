package core

type SavedCast struct {
	Method  string
	Raw     bool `msgpack:",omitempty"`
	NoTouch bool `msgpack:",omitempty"`
	Payload []byte
	Own     uint8 `msgpack:",omitempty"` // ownWatch or ownTick; 0: a cast of a user
}
