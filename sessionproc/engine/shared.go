package engine

import "github.com/sessionproc/sessionproc/sessionproc/internal/core"

// This file gives package node what the engine shares with the tokens of package sessionproc.

// An Op says what a Message or an Inbound asks of a session.
type Op = core.Op

// The operations.
const (
	OpCall      = core.OpCall
	OpCast      = core.OpCast
	OpStart     = core.OpStart
	OpEnsure    = core.OpEnsure
	OpStarted   = core.OpStarted
	OpTerminate = core.OpTerminate
	OpTouch     = core.OpTouch
	OpRenew     = core.OpRenew
	OpAdopt     = core.OpAdopt
	OpSubscribe = core.OpSubscribe
)

type (
	// A Delivery is a Message for a session, and its outcome.
	Delivery = core.Delivery
	// Feeds are what the subscribers of one node share.
	Feeds = core.Feeds
	// A Fault is a panic, or a runtime.Goexit, of a user's code.
	Fault = core.Fault
)

// Failures returns the errors of deliveries by ID, or nil if there are none.
func Failures(all []Delivery) map[string]error { return core.Failures(all) }

// Ensured turns the error of an OpEnsure into the results of Ensure: ErrAlreadyStarted means that
// the session exists, which is no error.
func Ensured(err error) (started bool, _ error) { return core.Ensured(err) }

// Apart runs f in a goroutine of its own and waits for it. It returns what f threw, or nil.
func Apart(f func()) *Fault { return core.Apart(f) }

// FaultOf returns the fault of what recover has returned.
func FaultOf(cause any) *Fault { return core.FaultOf(cause) }

// EncodeValue appends the encoding of v to b. raw reports that v is bytes, which are not encoded.
func EncodeValue(b []byte, v any) (payload []byte, raw bool, err error) {
	return core.EncodeValue(b, v)
}

// DecodeValue decodes what EncodeValue has made into v, a pointer.
func DecodeValue(b []byte, raw bool, v any) error { return core.DecodeValue(b, raw, v) }

// DecodeForeign decodes bytes of any origin into v, a pointer.
func DecodeForeign(b []byte, v any) error { return core.DecodeForeign(b, v) }
