package simnet

import (
	"fmt"
	"math"
	"time"
)

// Config configures a Network. Its zero value works.
type Config struct {
	// Seed is the seed for latency, loss and jitter. Default 0.
	Seed uint64
	// Link describes the links between all hosts, until SetLink changes one.
	Link Link
	// Buffer is how many bytes one direction of a stream holds before a Write
	// waits for the reader. Default 256 KiB.
	Buffer int
	// Backlog is how many connections a listener keeps for Accept. A dial to a
	// listener with a full backlog waits. Default 128.
	Backlog int
}

// A Link describes one direction between two hosts. A host reaches itself at
// once and without loss.
type Link struct {
	// Latency is the time that data takes, at most a day. Default 500 µs. A
	// negative value means none.
	Latency time.Duration
	// Jitter bounds a random time that is added to Latency for each packet and each
	// write, at most a day. Because of it packets overtake one another. Streams keep
	// their order. Default none.
	Jitter time.Duration
	// Loss is the share of packets that vanish, from 0 to 1. On a stream the same
	// share of writes arrives 200 ms later, as if sent again. Default none.
	Loss float64
}

const (
	defaultLatency = 500 * time.Microsecond
	defaultBuffer  = 256 << 10
	defaultBacklog = 128

	maxDelay = 24 * time.Hour // to simulate more, cut the link

	retransmit = 200 * time.Millisecond // delay of a lost part of a stream
	redial     = time.Second            // time between two attempts to connect while the backlog is full
)

// withDefaults returns l with its defaults, or an error if a field is invalid.
// name is the name of l in errors.
func (l Link) withDefaults(name string) (Link, error) {
	switch {
	case l.Latency > maxDelay:
		return l, fmt.Errorf("%s.Latency is %v, at most %v is possible", name, l.Latency, maxDelay)
	case l.Jitter < 0:
		return l, fmt.Errorf("%s.Jitter is negative (%v)", name, l.Jitter)
	case l.Jitter > maxDelay:
		return l, fmt.Errorf("%s.Jitter is %v, at most %v is possible", name, l.Jitter, maxDelay)
	case l.Loss < 0 || l.Loss > 1 || math.IsNaN(l.Loss):
		return l, fmt.Errorf("%s.Loss must be from 0 to 1 (%v)", name, l.Loss)
	case l.Latency == 0:
		l.Latency = defaultLatency
	}
	l.Latency = max(0, l.Latency)
	return l, nil
}

func (c Config) withDefaults() (_ Config, err error) {
	if c.Link, err = c.Link.withDefaults("Config.Link"); err != nil {
		return c, err
	}
	for _, f := range []struct {
		name     string
		value    *int
		standard int
	}{{"Config.Buffer", &c.Buffer, defaultBuffer}, {"Config.Backlog", &c.Backlog, defaultBacklog}} {
		if *f.value < 0 {
			return c, fmt.Errorf("%s is negative (%d)", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.standard
		}
	}
	return c, nil
}
