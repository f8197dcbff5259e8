package node

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
)

// shown returns what of cfg may be printed: of what is set the plain values, and
// of everything else, secrets before all, only that it is set.
func (cfg Config) shown() (names []string, values map[string]any) {
	values = map[string]any{}
	v := reflect.ValueOf(cfg)
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		if field.IsZero() || !v.Type().Field(i).IsExported() {
			continue
		}
		var value any = "set"
		switch f := field.Interface().(type) {
		case []string:
			value = f
		default:
			if k := field.Kind(); k <= reflect.Float64 || k == reflect.String {
				value = f
			}
		}
		switch name {
		case "Secret", "AcceptSecrets":
			value = "set"
		case "Kinds":
			all := []string{}
			for _, k := range cfg.Kinds {
				if k != nil && !reflect.ValueOf(k).IsZero() {
					all = append(all, k.Name())
				}
			}
			value = all
		}
		names, values[name] = append(names, name), value
	}
	return names, values
}

// Format implements fmt.Formatter: every verb prints what is set, and no secret.
func (cfg Config) Format(f fmt.State, _ rune) {
	names, values := cfg.shown()
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s: %v", name, values[name])
	}
	_, _ = io.WriteString(f, "node.Config{"+strings.Join(parts, ", ")+"}")
}

// MarshalJSON implements json.Marshaler: it has what Format prints.
func (cfg Config) MarshalJSON() ([]byte, error) {
	_, values := cfg.shown()
	return json.Marshal(values)
}

// LogValue implements slog.LogValuer: it has what Format prints.
func (cfg Config) LogValue() slog.Value {
	names, values := cfg.shown()
	attrs := make([]slog.Attr, len(names))
	for i, name := range names {
		attrs[i] = slog.Any(name, values[name])
	}
	return slog.GroupValue(attrs...)
}

// Format implements fmt.Formatter: every verb prints the node's name and address.
func (n *Node) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "node %s at %s", n.Name(), n.Addr()) }

// MarshalJSON implements json.Marshaler: it has the node's name and address.
func (n *Node) MarshalJSON() ([]byte, error) {
	if n == nil {
		return nil, errNil
	}
	return json.Marshal(struct{ Name, Addr string }{n.Name(), n.Addr()})
}

// LogValue implements slog.LogValuer: it has the node's name and address.
func (n *Node) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", n.Name()), slog.String("addr", n.Addr()))
}
