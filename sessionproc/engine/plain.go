package engine

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// Most sessions that move have nothing but their state: no labels, no timers, no casts
// that wait. Their snapshots are written and read by hand, which costs a fifth of what
// reflection does, as a node that drains has a million of them. The bytes are the same.

// plain reports whether s has none of the fields that few sessions have. Replies to calls with keys are
// in the records of most.
func (s *snapshot) plain() bool {
	return s.Critical == nil && s.Casts == nil && s.Others == nil && s.Timers == nil &&
		s.Restarts == nil && s.Argument == nil && s.Labels == nil && s.Subscriptions == nil &&
		s.Watches == nil && s.Life == nil && s.Before == nil && s.Dedup == nil && s.Renewals == 0 &&
		s.Renewed == nil && s.Renewing == nil && s.Large == nil && !s.Outline && s.Trials == nil && !s.Quarantined &&
		s.Tasks == nil
}

// plainRoom is more than what a plain snapshot takes beside its kind, version and state.
const plainRoom = 160

// smallSnapshot is the room for a snapshot that is made aside.
const smallSnapshot = 512

// appendPlain appends a plain snapshot as encode does; ok: it is one.
func (s *snapshot) appendPlain(b []byte) (_ []byte, ok bool) {
	if !s.plain() || min(int64(s.Schema), int64(s.Age), s.Taken, int64(s.Idle), int64(s.Lifetime)) < 0 ||
		s.Version == nil || s.State == nil {
		return b, false
	}
	fields := 8
	if s.Schema != 0 {
		fields++
	}
	if s.Lifetime != 0 {
		fields++
	}
	if s.replies != nil {
		fields++
	}
	b = wire.AppendMapLen(b, fields)
	b = wire.AppendString(wire.AppendString(b, "Kind"), s.Kind)
	if s.Schema != 0 {
		b = wire.AppendUint(wire.AppendString(b, "Schema"), uint64(s.Schema))
	}
	b = wire.AppendUint(wire.AppendString(b, "Number"), s.Number)
	b = wire.AppendUint(wire.AppendString(b, "Boot"), s.Boot)
	b = wire.AppendBytes(wire.AppendString(b, "Version"), s.Version)
	b = wire.AppendBytes(wire.AppendString(b, "State"), s.State)
	b = wire.AppendUint(wire.AppendString(b, "Age"), uint64(s.Age))
	b = wire.AppendUint(wire.AppendString(b, "Taken"), uint64(s.Taken))
	b = wire.AppendUint(wire.AppendString(b, "Idle"), uint64(s.Idle))
	if s.Lifetime != 0 {
		b = wire.AppendUint(wire.AppendString(b, "Lifetime"), uint64(s.Lifetime))
	}
	if s.replies != nil {
		b = s.replies.append(wire.AppendString(b, "Dedup"), s.at)
	}
	return b, true
}

// append appends the encoding of a snapshot to b, which is not nil.
func (s *snapshot) append(b []byte) ([]byte, error) {
	if b, ok := s.appendPlain(b); ok {
		return b, nil
	}
	return s.encode(b)
}

// encode appends the encoding of any snapshot to b.
func (s *snapshot) encode(b []byte) ([]byte, error) {
	whole := *s // so that s need not be on the heap
	if whole.replies != nil {
		whole.Dedup = whole.replies.save(whole.at)
	}
	return core.Encode(b, &whole, 0)
}

// bytes encodes a snapshot.
func (s *snapshot) bytes() ([]byte, error) {
	if s.plain() && s.replies == nil {
		var small [smallSnapshot]byte // on the stack: what is kept has the size that it needs
		room := plainRoom + len(s.Kind) + len(s.Version) + len(s.State)
		if room <= len(small) {
			if b, ok := s.appendPlain(small[:0]); ok {
				return slices.Clone(b), nil
			}
		} else if b, ok := s.appendPlain(make([]byte, 0, room)); ok {
			return b, nil
		}
	}
	return s.encode(nil)
}

// readPlain reads a plain snapshot, whoever wrote it. Version and State are views of b.
// false: it is something else, or malformed.
func (s *snapshot) readPlain(b []byte) bool {
	r := wire.NewReader(b)
	for range r.MapLen() {
		switch string(r.Str()) {
		case "Kind":
			s.Kind = string(r.Str())
		case "Schema":
			s.Schema = int(r.Uint32())
		case "Number":
			s.Number = r.Uint()
		case "Boot":
			s.Boot = r.Uint()
		case "Version":
			s.Version = r.Bytes()
		case "State":
			s.State = r.Bytes()
		case "Age":
			s.Age = time.Duration(r.Uint())
		case "Taken":
			s.Taken = int64(r.Uint())
		case "Idle":
			s.Idle = time.Duration(r.Uint())
		case "Lifetime":
			s.Lifetime = time.Duration(r.Uint())
		default:
			return false
		}
		if r.Err() != nil {
			return false
		}
	}
	return r.Err() == nil && r.Len() == 0 && s.Schema >= 0 && min(s.Age, time.Duration(s.Taken), s.Idle, s.Lifetime) >= 0
}

// read decodes a snapshot that any node has made, into a zero s. State and Version may share
// memory with b.
func (s *snapshot) read(b []byte) error {
	if s.readPlain(b) {
		return nil
	}
	decoded := new(snapshot) // so that s need not be on the heap
	if err := core.DecodeForeign(b, decoded); err != nil {
		return err
	}
	for _, name := range decoded.Critical {
		if _, known := reflect.TypeFor[snapshot]().FieldByName(name); !known {
			return fmt.Errorf("%w: the session needs %q", sessionproc.ErrUnsupported, name)
		}
	}
	*s = *decoded
	return nil
}
