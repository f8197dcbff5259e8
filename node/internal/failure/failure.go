// Package failure codes errors for the wire, so that errors.Is says of an error of another
// node what it says of one of this node. It serves package node.
package failure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// Codes of errors on the wire. They are permanent: append only, never reuse.
// Those below 16 are the transport's own.
const (
	codeNotFound       = 16
	codeAlreadyStarted = 17
	codeWrongKind      = 18
	CodeUnknownKind    = 19
	CodeUnknownMethod  = 20
	codeBadRequest     = 21
	codeBadReply       = 22
	codeCrashed        = 23 // extra: the reference
	codeTerminated     = 24
	CodeOverloaded     = 25 // extra: see overloadFinal; "" of an earlier release, and of one that has no room at all
	codeTooMany        = 26
	codeCallCycle      = 27
	codeInvalidID      = 28
	codeUnavailable    = 29
	CodeUnsupported    = 30
	codeClosed         = 31
	codeNamed          = 32 // of NewError; extra: its code
	codeText           = 33 // any other error of a handler
	codeDeadline       = 34
	codeCanceled       = 35
	CodeNotOwner       = 36 // extra: the address of the owner, "" if unknown
	CodeMoving         = 37 // it is on its way: ask again
	CodeNoQuorum       = 38
	codeRateLimited    = 39 // as the next, and codeTooMany: extra may say which limit; see packLimit
	codeMemoryMark     = 40
	codeRenewed        = 43
	codeKeyReused      = 44
	codeReplied        = 45
)

// elsewhere is an extra of codeUnavailable, on the wire: the session has gone on at another node, with
// or without what the request has changed.
const elsewhere = "elsewhere"

// Extras of codeOverloaded. They are on the wire.
const (
	OverloadFinal = "final" // there was no place in the mailbox for as long as the request may wait for it
	OverloadLate  = "late"  // nor will there be until its deadline, which is not quite over
)

// codes pairs sentinels with their codes.
var codes = []struct {
	err  error
	code uint32
}{
	{sessionproc.ErrNotFound, codeNotFound},
	{sessionproc.ErrAlreadyStarted, codeAlreadyStarted},
	{sessionproc.ErrWrongKind, codeWrongKind},
	{sessionproc.ErrUnknownKind, CodeUnknownKind},
	{sessionproc.ErrUnknownMethod, CodeUnknownMethod},
	{sessionproc.ErrBadRequest, codeBadRequest},
	{sessionproc.ErrBadReply, codeBadReply},
	{sessionproc.ErrCrashed, codeCrashed},
	{sessionproc.ErrTerminated, codeTerminated},
	{sessionproc.ErrOverloaded, CodeOverloaded},
	{sessionproc.ErrTooManySessions, codeTooMany},
	{sessionproc.ErrCallCycle, codeCallCycle},
	{sessionproc.ErrInvalidID, codeInvalidID},
	{sessionproc.ErrUnavailable, codeUnavailable},
	{sessionproc.ErrUnsupported, CodeUnsupported},
	{sessionproc.ErrClosed, codeClosed},
	{sessionproc.ErrNoQuorum, CodeNoQuorum},
	{sessionproc.ErrRateLimited, codeRateLimited},
	{sessionproc.ErrMemoryMark, codeMemoryMark},
	{sessionproc.ErrRenewed, codeRenewed},
	{sessionproc.ErrKeyReused, codeKeyReused},
	{sessionproc.ErrReplied, codeReplied},
	{context.DeadlineExceeded, codeDeadline},
	{context.Canceled, codeCanceled},
}

// Coded is an error on its way over the wire.
type Coded struct {
	Code  uint32
	Text  string
	Maybe bool // the handler may have run
	Extra string
	also  []uint32 // codes of further sentinels that it stands for
}

// Encode prepares what a session answered for the wire.
func Encode(err error, maybe bool) Coded {
	f := Coded{Code: codeText, Text: err.Error(), Maybe: maybe}
	if m, ok := errors.AsType[*Moved](err); ok {
		if f.Code = CodeMoving; m.Addr != "" {
			f.Code, f.Extra = CodeNotOwner, m.Addr
		}
		return f
	}
	if e, ok := errors.AsType[*sessionproc.Error](err); ok {
		f.Code, f.Extra = codeNamed, e.Code
	}
	for _, c := range codes {
		switch {
		case !errors.Is(err, c.err):
		case f.Code == codeText:
			f.Code = c.code
		case f.Code == codeNamed || f.Code == codeNotFound: // a start function has failed, and why
			f.also = append(f.also, c.code)
		case f.Code == codeUnavailable && c.code == CodeNoQuorum: // why a change may not survive a crash
			f.also = append(f.also, c.code)
		}
	}
	if f.Code == CodeOverloaded {
		if f.Extra = OverloadFinal; errors.Is(err, context.DeadlineExceeded) {
			f.Extra = OverloadLate
		}
	}
	if e, ok := errors.AsType[interface {
		error
		Elsewhere() bool
	}](err); ok && f.Code == codeUnavailable && e.Elsewhere() {
		f.Extra = elsewhere
	}
	if e, ok := errors.AsType[*sessionproc.CrashError](err); ok {
		f.Extra = e.Reference
	}
	if e, ok := errors.AsType[*sessionproc.LimitError](err); ok {
		f.Extra = packLimit(e)
	}
	return f
}

// Undone reports whether the answer does not say if the request has run, because the session goes on
// elsewhere: its node has closed, or another node has taken it.
func (f Coded) Undone() bool {
	return f.Maybe && (f.Code == codeClosed || f.Code == codeUnavailable && f.Extra == elsewhere)
}

// Detail appends what Code and Text do not say.
func (f Coded) Detail(b []byte) []byte {
	b = wire.AppendArrayLen(b, 2+len(f.also))
	b = wire.AppendBool(b, f.Maybe)
	b = wire.AppendString(b, f.Extra)
	for _, code := range f.also {
		b = wire.AppendUint(b, uint64(code))
	}
	return b
}

// Decode reads what the peer's detail appended. Elements that a later
// release may add are passed over.
func Decode(e *transport.Error) Coded {
	f := Coded{Code: e.Code, Text: e.Text}
	switch e.Code {
	case transport.CodeOverloaded:
		f.Code, f.Text = CodeOverloaded, "overloaded: the node has too many unanswered requests (Config.MaxInflight)"
	case transport.CodeUnsupported:
		f.Code = CodeUnsupported
	case transport.CodeClosing:
		f.Code = CodeNotOwner
	case transport.CodeTooLarge:
		f.Code, f.Maybe = codeBadReply, true
	default:
		r := wire.NewReader(e.Detail)
		if n := r.ArrayLen(); n >= 2 {
			f.Maybe, f.Extra = r.Bool(), string(r.Str())
			for range min(n-2, len(codes)) {
				f.also = append(f.also, uint32(r.Uint()))
			}
		}
		if r.Err() != nil {
			f.Maybe = true
		}
	}
	return f
}

// err is the failure as an error of this node's caller.
func (f Coded) Err() error {
	switch f.Code {
	case codeNamed:
		return f.with(&sessionproc.Error{Code: f.Extra, Text: f.Text})
	case codeCrashed:
		return &sessionproc.CrashError{Reference: f.Extra}
	case codeTooMany, codeRateLimited, codeMemoryMark:
		// else of a limit that only a later release has
		if e := unpackLimit(f.Extra); e != nil && Encode(e, false).Code == f.Code {
			return e
		}
	}
	for _, c := range codes {
		if c.code == f.Code {
			if len(f.also) == 0 && (f.Text == "" || f.Text == c.err.Error()) {
				return c.err
			}
			return f.with(Remote(f.Text, c.err))
		}
	}
	return errors.New(f.Text)
}

// with is err, which stands for the further sentinels too that are known here.
func (f Coded) with(err error) error {
	all := []error{err}
	for _, c := range codes {
		if slices.Contains(f.also, c.code) {
			all = append(all, c.err)
		}
	}
	if len(all) == 1 {
		return err
	}
	return Remote(f.Text, all...)
}

// packLimit writes a LimitError as the extra of its failure: its three fields with
// blanks between them, the last in nanoseconds.
func packLimit(e *sessionproc.LimitError) string {
	return fmt.Sprintf("%s %d %d", e.Limit, e.Max, e.RetryAfter)
}

// longest is longer than anything lasts.
const longest = 100 * 365 * 24 * time.Hour

// unpackLimit reads what packLimit wrote; nil: it is of a release that writes
// nothing, or something else.
func unpackLimit(extra string) *sessionproc.LimitError {
	fields := strings.Fields(extra)
	if len(fields) < 3 {
		return nil
	}
	most, err := strconv.ParseInt(fields[1], 10, 64)
	after, errAfter := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || errAfter != nil {
		return nil
	}
	after = min(max(after, 0), int64(longest))
	return &sessionproc.LimitError{Limit: fields[0], Max: most, RetryAfter: time.Duration(after)}
}

// Remote returns an error of another node with the sentinels that it stands for.
func Remote(text string, sentinels ...error) error { return &remoteError{text, sentinels} }

// remoteError is what another node says, with the sentinels that it stands for.
type remoteError struct {
	text      string
	sentinels []error
}

func (e *remoteError) Error() string   { return e.text }
func (e *remoteError) Unwrap() []error { return e.sentinels }

// A Moved error says that a request did not run, because its session is at
// another node or will be.
type Moved struct{ Addr string } // "" if the node is not known yet: try again

func (m *Moved) Error() string {
	if m.Addr == "" {
		return sessionproc.ErrUnavailable.Error() + ": the session is on its way"
	}
	return sessionproc.ErrUnavailable.Error() + ": the session is at another node"
}

func (m *Moved) Unwrap() error { return sessionproc.ErrUnavailable }

// Coming is the Moved of a request whose session comes to this node: it may wait here. It is
// known by its address.
var Coming = &Moved{}
