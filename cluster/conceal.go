package cluster

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Format implements fmt.Formatter: no verb prints a key.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "cluster.Config{Name: %q, Self: %s at %s, Join: %q, Keys: %d not shown}",
		c.Name, c.Self.Name(), c.Self.Addr, c.Join, len(c.Keys))
}

// MarshalJSON implements json.Marshaler, without the keys.
func (c Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name string
		Self Member
		Join []string
	}{c.Name, c.Self, c.Join})
}

// LogValue implements slog.LogValuer.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Format implements fmt.Formatter: no verb prints a key.
func (c *Cluster) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "cluster.Cluster{%v}", c.cfg) }
