package sessionproc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in what one session publishes of one event.
type Position struct {
	// Incarnation is the life of the session that counts the offsets.
	Incarnation Incarnation
	// Offset is the number of values that were published up to here: the first
	// published value has offset 1, each next one 1 more. A value that was made of
	// the state has the offset of the last one that was published before it.
	Offset uint64
}

// String returns the position as text of [0-9a-f.@], for ParsePosition: a
// Last-Event-ID, for instance.
func (p Position) String() string {
	return fmt.Sprintf("%d.%d@%x", p.Offset, p.Incarnation.Number, p.Incarnation.Boot)
}

// IsZero reports whether p is no position: every session has an incarnation.
func (p Position) IsZero() bool { return p == Position{} }

var errPosition = errors.New("sessionproc: malformed position")

// ParsePosition reads what String wrote. It takes text of any origin.
func ParsePosition(s string) (Position, error) {
	offset, rest, _ := strings.Cut(s, ".")
	number, boot, _ := strings.Cut(rest, "@")
	var p Position
	var errs [3]error
	p.Offset, errs[0] = strconv.ParseUint(offset, 10, 64)
	p.Incarnation.Number, errs[1] = strconv.ParseUint(number, 10, 64)
	p.Incarnation.Boot, errs[2] = strconv.ParseUint(boot, 16, 64)
	if errors.Join(errs[:]...) != nil || p.String() != s {
		return Position{}, errPosition
	}
	return p, nil
}
