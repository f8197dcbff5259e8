package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
)

// portable is err, of a handler or a start function, as it arrives at any caller, here
// or on another node: the code of a NewError in it, and its text. A handler that gives
// up because its caller's time is over says so as the library does. A method of err
// that panics is a crash of the session, unless err is a nil pointer.
func portable(ctx context.Context, err error) error {
	if isNil(err) {
		return userError(err)
	}
	if end := ctx.Err(); end != nil && errors.Is(err, end) {
		return ranFor(ctx, end)
	}
	return flatten(err)
}

// userError is an error of a user's code that need not come from a session's
// goroutine, made safe to keep, to log and to send: the code of a NewError in it, and
// its text. Methods of the user's type run here and nowhere else; a panic of theirs
// becomes part of the error. nil stays nil.
func userError(err error) (safe error) {
	if err == nil {
		return nil
	}
	defer func() {
		cause := recover()
		switch {
		case isNil(err):
			safe = fmt.Errorf("the error is a nil %T, not nil", err)
		case cause != nil:
			safe = panicked(fmt.Sprintf("a method of an error, a %T,", err), cause)
		}
	}()
	return flatten(err)
}

func flatten(err error) error {
	if e, ok := err.(*Error); ok && e != nil {
		return e
	}
	text := err.Error()
	if e, ok := errors.AsType[*Error](err); ok && e != nil {
		return &Error{Code: e.Code, Text: text}
	}
	return errors.New(text)
}

// isNil reports whether err is a nil pointer of an error's type, returned where nil was
// meant. To Go that is an error all the same.
func isNil(err error) bool {
	v := reflect.ValueOf(err)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
