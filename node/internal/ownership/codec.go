package ownership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrMalformed is returned for bytes that AppendMessages has not made.
var ErrMalformed = errors.New("ownership: malformed messages")

// The optional parts of an encoded message, by bit.
const (
	hasID = 1 << iota
	hasRel
	hasSession
	hasFlag
	hasText  // the cause, or the filter
	hasNames // a list follows
	sameNames
	hasKept
)

// AppendMessages appends messages for one member to b. What a run of messages has
// in common, as the claims for all partitions of a pair have their names, is written
// once: 1,021 claims take about 8 KB.
func AppendMessages(b []byte, messages []Message) []byte {
	b = binary.AppendUvarint(b, uint64(len(messages)))
	var last []string
	for _, m := range messages {
		b = append(b, byte(m.Kind), 0, byte(m.Form))
		at := len(b) - 2
		b = binary.AppendUvarint(b, uint64(m.Partition+1))
		put := func(bit byte, present bool) bool {
			if present {
				b[at] |= bit
			}
			return present
		}
		if put(hasID, m.ID != 0) {
			b = binary.AppendUvarint(b, m.ID)
		}
		if put(hasRel, m.Rel != 0) {
			b = binary.AppendUvarint(b, m.Rel)
		}
		if put(hasSession, m.Session != "") {
			b = appendText(b, m.Session)
		}
		put(hasFlag, m.Flag)
		if text := m.text(); put(hasText, text != "") {
			b = appendText(b, text)
		}
		switch {
		case len(m.Names) == 0:
		case put(sameNames, same(m.Names, last) || slices.Equal(m.Names, last)):
		case put(hasNames, true):
			b = appendNames(b, m.Names)
			last = m.Names
		}
		if put(hasKept, len(m.Kept) > 0) {
			b = appendKept(b, m.Kept)
		}
	}
	return b
}

// text is the filter of a promise, which earlier releases take for a cause that means
// nothing, and the cause of all else.
func (m *Message) text() string {
	if m.Kind == Promise {
		return string(m.Filter)
	}
	return m.Cause
}

func (m *Message) setText(s string) {
	if m.Kind == Promise {
		m.Filter = Filter(s)
	} else {
		m.Cause = s
	}
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendNames(b []byte, names []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = appendText(b, name)
	}
	return b
}

func appendKept(b []byte, kept []Kept) []byte {
	b = binary.AppendUvarint(b, uint64(len(kept)))
	for _, k := range kept {
		b = appendText(b, k.Session)
		if k.Backup {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

// ParseMessages reads what AppendMessages wrote. It keeps nothing of b. Kinds that
// it does not know, which a later release may send, are left out. The error is
// ErrMalformed.
func ParseMessages(b []byte) ([]Message, error) { return ParseInto(nil, b) }

// ParseInto is ParseMessages into the memory of messages that are not needed any more.
func ParseInto(memory []Message, b []byte) ([]Message, error) {
	r := reader{b: b}
	count := r.count(4)
	messages := memory[:0]
	if want := min(count, maxAtOnce); cap(messages) < want {
		messages = make([]Message, 0, want)
	}
	var last []string
	for range count {
		var m Message
		m.Kind = Kind(r.byte())
		has := r.byte()
		m.Form = Form(r.byte())
		m.Partition = int(r.number(1<<31)) - 1
		if has&hasID != 0 {
			m.ID = r.number(0)
		}
		if has&hasRel != 0 {
			m.Rel = r.number(0)
		}
		if has&hasSession != 0 {
			m.Session = r.text()
		}
		m.Flag = has&hasFlag != 0
		if has&hasText != 0 {
			m.setText(r.text())
		}
		if has&hasNames != 0 {
			last = r.names()
		}
		if has&(hasNames|sameNames) != 0 {
			m.Names = last
		}
		if has&hasKept != 0 {
			m.Kept = r.kept()
		}
		if r.bad {
			break
		}
		if m.Kind > 0 && m.Kind < numKinds && m.Form <= Ended {
			messages = append(messages, m)
		}
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: message %d, %d bytes left", ErrMalformed, len(messages), len(r.b))
	}
	return messages, nil
}

// maxAtOnce is for how many messages there is room before they are read: a message takes
// thirty times as much memory as its shortest encoding.
const maxAtOnce = 1 << 10

// reader takes values off b. After the first that is not there, bad is set and
// everything is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// number is at most limit, if that is not 0.
func (r *reader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || limit != 0 && v > limit {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count is the length of a list whose items take size bytes or more each.
func (r *reader) count(size int) int {
	return int(r.number(uint64(len(r.b)/size) + 1))
}

func (r *reader) text() string {
	n := r.number(uint64(len(r.b)) + 1)
	if n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// names are sorted and unique: what is not was not sent by a machine.
func (r *reader) names() []string {
	names := make([]string, r.count(1))
	for i := range names {
		names[i] = r.text()
		r.bad = r.bad || i > 0 && names[i] <= names[i-1]
	}
	return names
}

func (r *reader) kept() []Kept {
	kept := make([]Kept, r.count(2))
	for i := range kept {
		kept[i] = Kept{Session: r.text(), Backup: r.byte() != 0}
		r.bad = r.bad || i > 0 && kept[i].Session <= kept[i-1].Session
	}
	return kept
}
