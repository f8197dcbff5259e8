package sessionproc

import (
	"context"
	"errors"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// A Result is the message with which a task ends: a value or an error. A notice for it is
//
//	var Paid = sessionproc.NoticeOf[sessionproc.Result[Receipt]](Carts, "paid")
//
// Err arrives like the error of a call: errors.Is finds the errors of this package, those made with
// NewError, context.Canceled and context.DeadlineExceeded; of all other errors the text arrives, at most
// 4 KiB. It is ErrTaskLost if nothing is known of how the work ended, ErrCrashed if it panicked, and
// ErrBadReply if its value does not encode or is too large for a message.
type Result[T any] struct {
	Value T     // the zero value if Err is not nil
	Err   error // of the work, or why it has no value
	Name  string
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (r Result[T]) EncodeMsgpack(enc *msgpack.Encoder) error {
	w, err := r.wired(0)
	if err != nil {
		return err
	}
	return enc.Encode(w)
}

// DecodeMsgpack implements msgpack.CustomDecoder.
func (r *Result[T]) DecodeMsgpack(dec *msgpack.Decoder) error {
	var w wiredResult
	if err := dec.Decode(&w); err != nil {
		return err
	}
	*r = Result[T]{Name: w.Name}
	if r.Err = w.Err.unpack(); r.Err != nil {
		return nil
	}
	return core.DecodeValue(w.Value, w.Raw, &r.Value)
}

// wired returns r as it travels, with a value of at most most bytes, if that is not 0.
func (r *Result[T]) wired(most int) (w *wiredResult, err error) {
	w = &wiredResult{Name: r.Name, Err: packError(r.Err)}
	if w.Err == nil {
		w.Value, w.Raw, err = core.AppendValue(nil, r.Value, most)
	}
	return w, err
}

// resultOf serves HandleCast: the type of the value.
func (Result[T]) resultOf() reflect.Type { return reflect.TypeFor[T]() }

// A wiredResult is a Result as it travels. Fields may be added.
type wiredResult struct {
	Name  string
	Value []byte      `msgpack:",omitempty"`
	Raw   bool        `msgpack:",omitempty"` // Value is bytes, not msgpack
	Err   *wiredError `msgpack:",omitempty"`
}

// A wiredError is an error as it travels in a Result. Fields may be added.
type wiredError struct {
	Text      string
	Code      string   `msgpack:",omitempty"` // of NewError
	Named     bool     `msgpack:",omitempty"` // there is a Code
	Is        []string `msgpack:",omitempty"` // the sentinels that it is, by the names below
	Reference string   `msgpack:",omitempty"` // of a CrashError
}

// wiredErrors are the names of sentinels in a Result. They are permanent: append only, never reuse.
var wiredErrors = []struct {
	name string
	err  error
}{
	{"task_lost", ErrTaskLost},
	{"not_found", ErrNotFound},
	{"already_started", ErrAlreadyStarted},
	{"wrong_kind", ErrWrongKind},
	{"unknown_kind", ErrUnknownKind},
	{"unknown_method", ErrUnknownMethod},
	{"bad_request", ErrBadRequest},
	{"bad_reply", ErrBadReply},
	{"key_reused", ErrKeyReused},
	{"replied", ErrReplied},
	{"crashed", ErrCrashed},
	{"terminated", ErrTerminated},
	{"overloaded", ErrOverloaded},
	{"too_many_sessions", ErrTooManySessions},
	{"rate_limited", ErrRateLimited},
	{"memory_mark", ErrMemoryMark},
	{"too_many_timers", ErrTooManyTimers},
	{"too_many_tasks", ErrTooManyTasks},
	{"task_running", ErrTaskRunning},
	{"renewed", ErrRenewed},
	{"call_cycle", ErrCallCycle},
	{"invalid_id", ErrInvalidID},
	{"unavailable", ErrUnavailable},
	{"no_quorum", ErrNoQuorum},
	{"unsupported", ErrUnsupported},
	{"closed", ErrClosed},
	{"deadline_exceeded", context.DeadlineExceeded},
	{"canceled", context.Canceled},
}

// packError returns err as it travels; nil for nil. Methods of the user's type run here. A panic of theirs
// becomes part of the error.
func packError(err error) *wiredError {
	if err == nil {
		return nil
	}
	safe := userError(err)
	w := &wiredError{Text: safe.Error()}
	if e, ok := safe.(*Error); ok {
		w.Code, w.Named = e.Code, true
	}
	w.find(err)
	return w
}

// find adds what err is beside its text.
func (w *wiredError) find(err error) {
	defer func() { _ = recover() }() // userError has said so
	var is []string
	for _, known := range wiredErrors {
		if isIn(err, known.err) {
			is = append(is, known.name)
		}
	}
	w.Is = is
	walk(err, func(err error) bool {
		e, ok := err.(*CrashError)
		if ok && e != nil {
			w.Reference = e.Reference
		}
		return ok
	})
}

// unpack returns the error that packError has packed.
func (w *wiredError) unpack() error {
	if w == nil {
		return nil
	}
	var is []error
	switch {
	case w.Named:
		is = append(is, &Error{Code: w.Code, Text: w.Text})
	case w.Reference != "":
		is = append(is, &CrashError{Reference: w.Reference})
	}
	for _, known := range wiredErrors {
		for _, name := range w.Is {
			if name == known.name && !(w.Reference != "" && known.err == ErrCrashed) {
				is = append(is, known.err)
			}
		}
	}
	switch {
	case len(is) == 0:
		return errors.New(w.Text)
	case len(is) == 1 && is[0].Error() == w.Text:
		return is[0]
	}
	return &arrivedError{w.Text, is}
}

// An arrivedError is the error of a Result that stands for several others.
type arrivedError struct {
	text string
	is   []error
}

func (e *arrivedError) Error() string   { return e.text }
func (e *arrivedError) Unwrap() []error { return e.is }

// packResult encodes the result of the work of a task. What cannot be encoded becomes an ErrBadReply.
func packResult[T any](run *core.TaskRun, v T, failed error) (b []byte) {
	r := Result[T]{Value: v, Name: run.Name}
	if failed != nil {
		run.Err = packError(failed).unpack() // methods of the user's type are called once
		return failedResult(r.Name, failed)
	}
	w, err := wiredApart(&r, run.Host.MaxMessage-resultRoom)
	if err == nil {
		b, err = core.Encode(nil, w, run.Host.MaxMessage)
	}
	if err != nil {
		run.Err = core.BadReply(err)
		return failedResult(r.Name, run.Err)
	}
	return b
}

// resultRoom is how many bytes of a message a Result needs beside its value.
const resultRoom = 512

// wiredApart is wired. A panic of methods of the value becomes an error.
func wiredApart[T any](r *Result[T], most int) (w *wiredResult, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = core.Panicked("encoding", cause)
		}
	}()
	return r.wired(most)
}

func init() { core.FailedResult = failedResult }

// failedResult encodes the result of a task that has no value.
func failedResult(name string, err error) []byte {
	b, fault := core.Encode(nil, &wiredResult{Name: name, Err: packError(err)}, 0)
	if fault != nil {
		panic("sessionproc: a result does not encode: " + fault.Error()) // it is made of texts
	}
	return b
}
