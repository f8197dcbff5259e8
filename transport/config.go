package transport

import (
	"fmt"
	"log/slog"
	"time"
)

// longest is the longest duration of a Config and of a request. It keeps sums
// of durations from overflowing.
const longest = 100 * 365 * 24 * time.Hour

// outputSlack is the part of MaxOutput that requests leave free, so that
// cancels and pings find room while requests wait.
const outputSlack = 1 << 20

// withDefaults returns cfg with every zero field set. Its error names the field
// that is invalid.
func (cfg Config) withDefaults() (Config, error) {
	switch {
	case cfg.Dial == nil:
		return cfg, fmt.Errorf("transport: Config.Dial is nil")
	case cfg.Handshake == nil:
		return cfg, fmt.Errorf("transport: Config.Handshake is nil")
	case cfg.Handler == nil:
		return cfg, fmt.Errorf("transport: Config.Handler is nil")
	}
	for _, f := range []struct {
		name             string
		field            *int
		value, low, high int
	}{
		{"MaxFrame", &cfg.MaxFrame, 4 << 20, 4 << 10, 1 << 30},
		{"MaxStreams", &cfg.MaxStreams, 64, 1, 1 << 20},
	} {
		if err := setInt(f.name, f.field, f.value, f.low, f.high); err != nil {
			return cfg, err
		}
	}
	least := cfg.MaxFrame + outputSlack
	if err := setInt("MaxOutput", &cfg.MaxOutput, max(8<<20, least), least, 1<<31-1); err != nil {
		return cfg, err
	}
	if cfg.MaxInflight == 0 {
		cfg.MaxInflight = 256 << 20
	}
	if cfg.MaxInflight < 0 {
		return cfg, fmt.Errorf("transport: Config.MaxInflight is %d, must be positive", cfg.MaxInflight)
	}
	for _, f := range []struct {
		name  string
		field *time.Duration
		value time.Duration
	}{
		{"WriteTimeout", &cfg.WriteTimeout, 5 * time.Second},
		{"PingInterval", &cfg.PingInterval, 5 * time.Second},
		{"DialTimeout", &cfg.DialTimeout, 3 * time.Second},
		{"HandshakeTimeout", &cfg.HandshakeTimeout, 5 * time.Second},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
		*f.field = min(*f.field, longest)
		if *f.field < time.Millisecond {
			return cfg, fmt.Errorf("transport: Config.%s is %v, must be at least 1ms", f.name, *f.field)
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

// setInt sets a zero field to value and checks its bounds.
func setInt(name string, field *int, value, low, high int) error {
	if *field == 0 {
		*field = value
	}
	if *field < low || *field > high {
		return fmt.Errorf("transport: Config.%s is %d, must be between %d and %d", name, *field, low, high)
	}
	return nil
}
