package sessionproc

import (
	"fmt"
	"reflect"
)

// badRequest is a request that does not decode: nothing has run.
type badRequest struct{ err error }

func (e badRequest) Error() string        { return ErrBadRequest.Error() + ": " + e.err.Error() }
func (e badRequest) Is(target error) bool { return target == ErrBadRequest }

// badReply is a reply that does not encode or decode: the handler has run.
type badReply struct{ err error }

func (e badReply) Error() string        { return ErrBadReply.Error() + ": " + e.err.Error() }
func (e badReply) Is(target error) bool { return target == ErrBadReply }

// thrown is the value of a panic for the log. Of a value that is neither an error nor
// a Stringer nor basic it is the type: printing one that contains itself would end the
// process.
func thrown(cause any) string {
	switch cause.(type) {
	case error, fmt.Stringer:
		return fmt.Sprint(cause)
	}
	if k := reflect.ValueOf(cause).Kind(); k == reflect.String || reflect.Bool <= k && k <= reflect.Complex128 {
		return fmt.Sprint(cause)
	}
	return fmt.Sprintf("a value of type %T", cause)
}
