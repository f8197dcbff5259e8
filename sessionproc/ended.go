package sessionproc

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// An Ended reports the end of a session: to a subscriber as an error (errors.As with an *Ended), to a
// session that called Watch as a message.
type Ended struct {
	ID     string // whole; Error prints only LogID(ID)
	Reason Reason
	// NewID is the ID under which a session with ReasonRenewed goes on. Only the
	// handler of a Watch gets it, so that references between sessions outlive a login;
	// it is empty if an earlier release could not tell it. Whoever knew the old ID from
	// outside must not learn the new one: so NewID is in no subscription, is neither
	// printed nor logged, and is left out where an Ended is encoded, in messages, states
	// and JSON. To keep it, copy it into a field of your own.
	NewID string
}

// EncodeMsgpack implements msgpack.CustomEncoder. It leaves out NewID.
func (e Ended) EncodeMsgpack(enc *msgpack.Encoder) error {
	return enc.Encode(&core.EndedMessage{ID: e.ID, Reason: string(e.Reason)})
}

// DecodeMsgpack implements msgpack.CustomDecoder.
func (e *Ended) DecodeMsgpack(dec *msgpack.Decoder) error {
	var m core.EndedMessage
	err := dec.Decode(&m)
	*e = Ended{m.ID, Reason(m.Reason), m.NewID}
	return err
}

// Error names the session by its LogID, and the reason.
func (e *Ended) Error() string {
	return fmt.Sprintf("sessionproc: session %s has ended: %s", LogID(e.ID), e.Reason)
}
