package sessionhttp

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Format implements fmt.Formatter: no verb prints a key.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "sessionhttp.Config{CookieName: %q, Path: %q, Domain: %q, MaxAge: %v, Sliding: %v, SameSite: %d, "+
		"Insecure: %v, Keys: %d not shown}",
		c.CookieName, c.Path, c.Domain, c.MaxAge, c.Sliding, c.SameSite, c.Insecure, len(c.Keys))
}

// MarshalJSON implements json.Marshaler, without the keys.
func (c Config) MarshalJSON() ([]byte, error) {
	type plain Config
	c.Keys = nil
	return json.Marshal(plain(c))
}

// LogValue implements slog.LogValuer.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Format implements fmt.Formatter: no verb prints a key.
func (s Sessions) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "sessionhttp.Sessions{%v}", s.cfg) }

// LogValue implements slog.LogValuer.
func (s Sessions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// Format implements fmt.Formatter: no verb prints a session ID.
func (s *EventStream[T]) Format(f fmt.State, _ rune) {
	s.crowd.mu.Lock()
	defer s.crowd.mu.Unlock()
	fmt.Fprintf(f, "sessionhttp.EventStream{%d streams}", s.crowd.all)
}
