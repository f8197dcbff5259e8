package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// A Class says what a connection is for. Bulk data has connections of its own,
// so that a call never waits behind it.
type Class uint8

const (
	// Calls carries requests of the side that dialled, and their answers.
	Calls Class = iota
	// Bulk carries streams, opened by the side that dialled.
	Bulk
)

// String returns "calls" or "bulk".
func (c Class) String() string {
	if c == Bulk {
		return "bulk"
	}
	return "calls"
}

// Config configures a Transport. Dial, Handshake and Handler are required. The
// zero value of every other field means its default, and negative values are
// refused. A duration beyond 100 years counts as 100 years.
type Config struct {
	// Dial opens a connection to addr, including everything that precedes the
	// hellos (TLS, a preface). It must respect ctx.
	Dial func(ctx context.Context, addr string, class Class) (net.Conn, error)
	// Handshake makes and checks hellos. It must be safe for concurrent use.
	Handshake Handshake
	// Handler serves the requests and streams of peers.
	Handler Handler

	// MaxFrame is the largest length of a frame in bytes, sent or received. Default 4 MiB.
	MaxFrame int
	// MaxOutput is how many bytes may wait to be written on one connection.
	// Requests wait for room. Answers do not wait: beyond MaxOutput they close the
	// connection if its peer does not read (a write takes longer than 250 ms), and
	// beyond 8 times MaxOutput in any case. Default 8 MiB; at least MaxFrame + 1 MiB.
	MaxOutput int
	// MaxInflight bounds the bytes of unanswered requests from all peers
	// together; further ones fail with CodeOverloaded. Default 256 MiB.
	MaxInflight int64
	// MaxStreams is how many streams may be open on one connection. Default 64.
	MaxStreams int

	// WriteTimeout closes a connection when a write of at most 256 KiB has not
	// ended within it (up to a quarter more). Default 5 s.
	WriteTimeout time.Duration
	// PingInterval is the time between two pings on each connection, in both
	// directions. A connection that is silent for 3 intervals is closed. Default 5 s.
	PingInterval time.Duration
	// DialTimeout bounds Dial. Default 3 s.
	DialTimeout time.Duration
	// HandshakeTimeout bounds the handshake on both sides. Default 5 s.
	HandshakeTimeout time.Duration

	// Logger receives the failures of connections, never a payload or a session ID.
	// nil discards them.
	Logger *slog.Logger
}

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
