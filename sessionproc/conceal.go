package sessionproc

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Errors and sessions hold whole session IDs, which are bearer secrets. No
// way of printing them shows one: not %v, %+v and %#v, of a value or a pointer, not
// JSON, not slog.

// Format implements fmt.Formatter: every verb prints what Error says.
func (e OpError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// MarshalJSON implements json.Marshaler: the session is named by its LogID.
func (e OpError) MarshalJSON() ([]byte, error) {
	text := ""
	if e.Err != nil {
		text = e.Err.Error()
	}
	return json.Marshal(struct {
		Op, Session, Kind, Method, Err string
		MaybeExecuted                  bool
	}{e.Op, logIDOf(e.ID), e.Kind, e.Method, text, e.MaybeExecuted})
}

// LogValue implements slog.LogValuer.
func (e OpError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Format implements fmt.Formatter: every verb prints what Error says.
func (e Ended) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

// MarshalJSON implements json.Marshaler: the session is named by its LogID.
func (e Ended) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Session string
		Reason  Reason
	}{logIDOf(e.ID), e.Reason})
}

// LogValue implements slog.LogValuer.
func (e Ended) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// Format implements fmt.Formatter: every verb prints the kind and the LogID.
func (s Session) Format(f fmt.State, _ rune) {
	kind := ""
	if s.head.Kind != nil {
		kind = s.head.Kind.Name
	}
	_, _ = fmt.Fprintf(f, "session %s of kind %s", logIDOf(s.head.ID), kind)
}

func logIDOf(id string) string {
	if id == "" {
		return ""
	}
	return LogID(id)
}
