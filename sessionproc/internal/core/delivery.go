package core

import (
	"context"
	"errors"
)

// A Message is one start, call or cast made by a token. Package node routes it: to Deliver if the
// session lives on this node, otherwise encoded over the network.
type Message interface {
	// Op, Kind and Method say what it is; Method is empty for a start.
	Op() Op
	Kind() string
	Method() string
	// AppendPayload appends the encoded argument or request to b. The error is ErrBadRequest if that
	// takes more than most bytes and most is not 0.
	AppendPayload(b []byte, most int) (payload []byte, raw bool, err error)
	// ReadReply decodes the reply of a call.
	ReadReply(payload []byte, raw bool) error

	// Deliver delivers the message to a session of this node. It serves the engine.
	Deliver(ctx context.Context, on *Host, part int, id string) error
}

// A Delivery is a Message for a session, and its outcome.
type Delivery struct {
	ID      string
	Message Message
	Err     error // nil before
}

// Failures returns the errors of deliveries by ID, or nil if there are none.
func Failures(all []Delivery) (failed map[string]error) {
	for i := range all {
		if err := all[i].Err; err != nil {
			if failed == nil {
				failed = map[string]error{}
			}
			failed[all[i].ID] = err
		}
	}
	return failed
}

// Ensured turns the error of an OpEnsure into the results of Ensure: ErrAlreadyStarted means that
// the session exists, which is no error.
func Ensured(err error) (started bool, _ error) {
	if errors.Is(err, ErrAlreadyStarted) {
		return false, nil
	}
	return err == nil, err
}
