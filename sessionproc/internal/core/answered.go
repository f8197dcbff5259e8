package core

// An Answered is a message whose handler has returned, with the answer in it.
type Answered interface {
	// Drop answers with o instead; see Task.
	Drop(generation uint64, o Outcome)
	// Generation identifies the exchange, for Drop.
	Generation() uint64
	// Finish gives the answer to the caller, unless the message was answered in another way.
	Finish()
}
