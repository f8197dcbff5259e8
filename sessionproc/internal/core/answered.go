package core

// An Answered is a message whose handler has returned, with the answer in it.
type Answered interface {
	Task
	// Generation identifies the exchange, for Drop.
	Generation() uint64
	// Finish gives the answer to the caller, unless the message was answered in another way.
	Finish()
}
