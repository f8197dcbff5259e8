package ownership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrMalformed is returned for bytes that AppendMessages did not write.
var ErrMalformed = errors.New("ownership: malformed messages")

// The optional parts of an encoded message, one bit each. The bits are on the
// wire.
const (
	hasID = 1 << iota
	hasRel
	hasSession
	hasFlag
	hasText   // a cause or a filter
	hasNames  // a list follows
	sameNames // the names are those of the last message that had some
	hasKept
)

// AppendMessages appends messages for one member to b. It writes a list of
// names once for a run of messages that share it, as the claims for many
// partitions do. 1,021 claims take about 8 KB.
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
			b = appendKept(b, m.Kept, m.Names)
		}
	}
	return b
}

// text returns the filter of a Promise, and the cause of every other message.
// Both travel in the same place. Earlier releases read the filter as a cause,
// which they ignore in a Promise.
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

// appendKept appends kept sessions: each with a byte that says whether it is a backup, or, if it
// has a keeper, the number that this has among names.
func appendKept(b []byte, kept []Kept, names []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(kept)))
	for _, k := range kept {
		b = appendText(b, k.Session)
		switch {
		case k.Keeper != "":
			b = binary.AppendUvarint(b, uint64(slices.Index(names, k.Keeper)))
		case k.Backup:
			b = append(b, 1)
		default:
			b = append(b, 0)
		}
	}
	return b
}

// ParseMessages decodes what AppendMessages wrote. The result shares no memory
// with b. ParseMessages leaves out messages of kinds that it does not know,
// which a later release may send. Its error is ErrMalformed.
func ParseMessages(b []byte) ([]Message, error) { return ParseInto(nil, b) }

// ParseInto is like ParseMessages, and uses the memory of messages that are no
// longer needed.
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
			m.Kept = r.kept(m.Kind == Recover, m.Names)
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

// maxAtOnce bounds the messages for which memory is allocated before they are
// read. A message takes thirty times as much memory as its shortest encoding,
// so the count alone must not decide.
const maxAtOnce = 1 << 10

// A reader takes values off b. After the first value that is missing or
// invalid, bad is set and all further values are zero.
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

// number reads an integer of at most limit, or of any size if limit is 0.
func (r *reader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || limit != 0 && v > limit {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads the length of a list whose items take at least size bytes each.
// It accepts no length for which b is too short.
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

// names reads a list of names. It accepts only sorted lists without duplicates,
// as every machine sends them: binary searches rely on the order.
func (r *reader) names() []string {
	names := make([]string, r.count(1))
	for i := range names {
		names[i] = r.text()
		r.bad = r.bad || i > 0 && names[i] <= names[i-1]
	}
	return names
}

// kept reads a list of kept sessions, sorted and without duplicates. keepers says that each has
// its keeper among names.
func (r *reader) kept(keepers bool, names []string) []Kept {
	kept := make([]Kept, r.count(2))
	for i := range kept {
		kept[i].Session = r.text()
		if !keepers {
			kept[i].Backup = r.byte() != 0
		} else if k := r.number(1 << 31); k < uint64(len(names)) {
			kept[i].Keeper = names[k]
		} else {
			r.bad = true
		}
		r.bad = r.bad || i > 0 && kept[i].Session <= kept[i-1].Session
	}
	return kept
}
