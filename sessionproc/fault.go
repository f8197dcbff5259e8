package sessionproc

// badRequest is a request that does not decode: nothing has run.
type badRequest struct{ err error }

func (e badRequest) Error() string        { return ErrBadRequest.Error() + ": " + e.err.Error() }
func (e badRequest) Is(target error) bool { return target == ErrBadRequest }

// badReply is a reply that does not encode or decode: the handler has run.
type badReply struct{ err error }

func (e badReply) Error() string        { return ErrBadReply.Error() + ": " + e.err.Error() }
func (e badReply) Is(target error) bool { return target == ErrBadReply }
