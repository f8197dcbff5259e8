package node

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
	codeUnknownKind    = 19
	codeUnknownMethod  = 20
	codeBadRequest     = 21
	codeBadReply       = 22
	codeCrashed        = 23 // extra: the reference
	codeTerminated     = 24
	codeOverloaded     = 25 // extra: see overloadFinal; "" of an earlier release, and of one that has no room at all
	codeTooMany        = 26
	codeCallCycle      = 27
	codeInvalidID      = 28
	codeUnavailable    = 29
	codeUnsupported    = 30
	codeClosed         = 31
	codeNamed          = 32 // of NewError; extra: its code
	codeText           = 33 // any other error of a handler
	codeDeadline       = 34
	codeCanceled       = 35
	codeNotOwner       = 36 // extra: the address of the owner, "" if unknown
	codeMoving         = 37 // it is on its way: ask again
	codeNoQuorum       = 38
	codeRateLimited    = 39 // as the next, and codeTooMany: extra may say which limit; see packLimit
	codeMemoryMark     = 40
	codeRenewed        = 43
)

// Extras of codeOverloaded. They are on the wire.
const (
	overloadFinal = "final" // there was no place in the mailbox for as long as the request may wait for it
	overloadLate  = "late"  // nor will there be until its deadline, which is not quite over
)

// codes pairs sentinels with their codes.
var codes = []struct {
	err  error
	code uint32
}{
	{sessionproc.ErrNotFound, codeNotFound},
	{sessionproc.ErrAlreadyStarted, codeAlreadyStarted},
	{sessionproc.ErrWrongKind, codeWrongKind},
	{sessionproc.ErrUnknownKind, codeUnknownKind},
	{sessionproc.ErrUnknownMethod, codeUnknownMethod},
	{sessionproc.ErrBadRequest, codeBadRequest},
	{sessionproc.ErrBadReply, codeBadReply},
	{sessionproc.ErrCrashed, codeCrashed},
	{sessionproc.ErrTerminated, codeTerminated},
	{sessionproc.ErrOverloaded, codeOverloaded},
	{sessionproc.ErrTooManySessions, codeTooMany},
	{sessionproc.ErrCallCycle, codeCallCycle},
	{sessionproc.ErrInvalidID, codeInvalidID},
	{sessionproc.ErrUnavailable, codeUnavailable},
	{sessionproc.ErrUnsupported, codeUnsupported},
	{sessionproc.ErrClosed, codeClosed},
	{sessionproc.ErrNoQuorum, codeNoQuorum},
	{sessionproc.ErrRateLimited, codeRateLimited},
	{sessionproc.ErrMemoryMark, codeMemoryMark},
	{sessionproc.ErrRenewed, codeRenewed},
	{context.DeadlineExceeded, codeDeadline},
	{context.Canceled, codeCanceled},
}

// failure is an error on its way over the wire.
type failure struct {
	code  uint32
	text  string
	maybe bool // the handler may have run
	extra string
	also  []uint32 // codes of further sentinels that it stands for
}

// encodeError prepares what a session answered for the wire.
func encodeError(err error, maybe bool) failure {
	f := failure{code: codeText, text: err.Error(), maybe: maybe}
	if m, ok := errors.AsType[*moved](err); ok {
		if f.code = codeMoving; m.addr != "" {
			f.code, f.extra = codeNotOwner, m.addr
		}
		return f
	}
	if e, ok := errors.AsType[*sessionproc.Error](err); ok {
		f.code, f.extra = codeNamed, e.Code
	}
	for _, c := range codes {
		switch {
		case !errors.Is(err, c.err):
		case f.code == codeText:
			f.code = c.code
		case f.code == codeNamed || f.code == codeNotFound: // a start function has failed, and why
			f.also = append(f.also, c.code)
		}
	}
	if f.code == codeOverloaded {
		if f.extra = overloadFinal; errors.Is(err, context.DeadlineExceeded) {
			f.extra = overloadLate
		}
	}
	if e, ok := errors.AsType[*sessionproc.CrashError](err); ok {
		f.extra = e.Reference
	}
	if e, ok := errors.AsType[*sessionproc.LimitError](err); ok {
		f.extra = packLimit(e)
	}
	return f
}

// detail appends what Code and Text do not say.
func (f failure) detail(b []byte) []byte {
	b = wire.AppendArrayLen(b, 2+len(f.also))
	b = wire.AppendBool(b, f.maybe)
	b = wire.AppendString(b, f.extra)
	for _, code := range f.also {
		b = wire.AppendUint(b, uint64(code))
	}
	return b
}

// decodeError reads what the peer's detail appended. Elements that a later
// release may add are passed over.
func decodeError(e *transport.Error) failure {
	f := failure{code: e.Code, text: e.Text}
	switch e.Code {
	case transport.CodeOverloaded:
		f.code, f.text = codeOverloaded, "overloaded: the node has too many unanswered requests (Config.MaxInflight)"
	case transport.CodeUnsupported:
		f.code = codeUnsupported
	case transport.CodeClosing:
		f.code = codeNotOwner
	case transport.CodeTooLarge:
		f.code, f.maybe = codeBadReply, true
	default:
		r := wire.NewReader(e.Detail)
		if n := r.ArrayLen(); n >= 2 {
			f.maybe, f.extra = r.Bool(), string(r.Str())
			for range min(n-2, len(codes)) {
				f.also = append(f.also, uint32(r.Uint()))
			}
		}
		if r.Err() != nil {
			f.maybe = true
		}
	}
	return f
}

// err is the failure as an error of this node's caller.
func (f failure) err() error {
	switch f.code {
	case codeNamed:
		return f.with(&sessionproc.Error{Code: f.extra, Text: f.text})
	case codeCrashed:
		return &sessionproc.CrashError{Reference: f.extra}
	case codeTooMany, codeRateLimited, codeMemoryMark:
		// else of a limit that only a later release has
		if e := unpackLimit(f.extra); e != nil && encodeError(e, false).code == f.code {
			return e
		}
	}
	for _, c := range codes {
		if c.code == f.code {
			if len(f.also) == 0 && (f.text == "" || f.text == c.err.Error()) {
				return c.err
			}
			return f.with(&remoteError{f.text, []error{c.err}})
		}
	}
	return errors.New(f.text)
}

// with is err, which stands for the further sentinels too that are known here.
func (f failure) with(err error) error {
	all := []error{err}
	for _, c := range codes {
		if slices.Contains(f.also, c.code) {
			all = append(all, c.err)
		}
	}
	if len(all) == 1 {
		return err
	}
	return &remoteError{f.text, all}
}

// packLimit writes a LimitError as the extra of its failure: its three fields with
// blanks between them, the last in nanoseconds.
func packLimit(e *sessionproc.LimitError) string {
	return fmt.Sprintf("%s %d %d", e.Limit, e.Max, e.RetryAfter)
}

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
	return &sessionproc.LimitError{Limit: fields[0], Max: most, RetryAfter: time.Duration(min(max(after, 0), int64(ages)))}
}

// remoteError is what another node says, with the sentinels that it stands for.
type remoteError struct {
	text      string
	sentinels []error
}

func (e *remoteError) Error() string   { return e.text }
func (e *remoteError) Unwrap() []error { return e.sentinels }
