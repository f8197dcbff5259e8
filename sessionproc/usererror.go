package sessionproc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// portable is err, of a handler or a start function, as it arrives at any caller, here
// or on another node: the code of a NewError in it, and 4 KiB of its text. A handler that gives
// up because its caller's time is over says so as the library does. A method of err
// that panics is a crash of the session, unless err is a nil pointer.
func portable(ctx context.Context, err error) error {
	if isNil(err) {
		return userError(err)
	}
	if end := ctx.Err(); end != nil && isIn(err, end) {
		if c, ok := ctx.(*core.Ctx); ok && c.Head != nil {
			return c.Head.Host.Engine.RanFor(c, end)
		}
		return end
	}
	return flatten(err)
}

func init() { core.UserError = userError }

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
			safe = core.Panicked(fmt.Sprintf("a method of an error, a %T,", err), cause)
		}
	}()
	return flatten(err)
}

// maxErrorText is how many bytes of an error's text there are at a caller: what travels.
const maxErrorText = 4 << 10

// clip returns text, or what of it are whole characters of at most so many bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return strings.Clone(text[:most])
}

func flatten(err error) error {
	if e, ok := err.(*Error); ok && e != nil {
		if len(e.Text) > maxErrorText {
			return &Error{Code: e.Code, Text: clip(e.Text, maxErrorText)}
		}
		return e
	}
	text := clip(err.Error(), maxErrorText)
	var named *Error
	walk(err, func(err error) bool {
		e, ok := err.(*Error)
		if !ok {
			as, has := err.(interface{ As(target any) bool })
			ok = has && as.As(&e)
		}
		named = e
		return ok
	})
	if named != nil {
		return &Error{Code: named.Code, Text: text}
	}
	return errors.New(text)
}

// isIn is errors.Is for an error of a user's code.
func isIn(err, target error) bool {
	return walk(err, func(err error) bool {
		if err == target {
			return true
		}
		is, ok := err.(interface{ Is(target error) bool })
		return ok && is.Is(target)
	})
}

// maxWrapped is how many errors the library looks at that are in one of a user's code.
// One may wrap itself, so that package errors would never come to an end of it.
const maxWrapped = 1000

// walk calls found with err and what it wraps, in the order of package errors, until
// found has found what it looks for.
func walk(err error, found func(error) bool) bool {
	todo := []error{err}
	for range maxWrapped {
		if len(todo) == 0 {
			break
		}
		last := len(todo) - 1
		err := todo[last]
		todo = todo[:last]
		if err == nil {
			continue
		}
		if found(err) {
			return true
		}
		switch v := err.(type) {
		case interface{ Unwrap() error }:
			todo = append(todo, v.Unwrap())
		case interface{ Unwrap() []error }:
			wrapped := v.Unwrap()
			for i := range min(len(wrapped), maxWrapped) {
				todo = append(todo, wrapped[min(len(wrapped), maxWrapped)-1-i])
			}
		}
	}
	return false
}

// isNil reports whether err is a nil pointer of an error's type, returned where nil was
// meant. To Go that is an error all the same.
func isNil(err error) bool {
	v := reflect.ValueOf(err)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
