package ring

import (
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// algorithm names what turns members into owners. It is part of the fingerprint,
// since another release of the library may place partitions differently (v0.10.0
// and v1.0.0 do, for 68–96 % of them).
const (
	hashName  = "xxhash64"
	algorithm = "consistent/1.0.0"
)

// Config is how partitions are made and placed. The zero value is the default.
// It has to be the same on all nodes of a cluster; to change it, the whole cluster
// has to stop.
type Config struct {
	// Partitions is how many parts the space of IDs is cut into: 1 to 65521, 0
	// means 1021. A prime of at least 20 times the number of members spreads
	// load well.
	Partitions int

	// VirtualNodes is how many points each member has on the ring: 1 to 1000,
	// 0 means 100. More points move fewer partitions between members that stay
	// and make New slower.
	VirtualNodes int

	// Load bounds what one member may own, as a multiple of the average: 1 to
	// 10, 0 means 1.25. Lower is more even and moves more partitions when the
	// members change.
	Load float64
}

func (c Config) withDefaults() (Config, error) {
	if c.Partitions == 0 {
		c.Partitions = 1021
	}
	if c.VirtualNodes == 0 {
		c.VirtualNodes = 100
	}
	if c.Load == 0 {
		c.Load = 1.25
	}
	switch {
	case c.Partitions < 1 || c.Partitions > 65521:
		return c, fmt.Errorf("ring: Config.Partitions: %d is not in 1..65521", c.Partitions)
	case c.VirtualNodes < 1 || c.VirtualNodes > 1000:
		return c, fmt.Errorf("ring: Config.VirtualNodes: %d is not in 1..1000", c.VirtualNodes)
	case !(c.Load >= 1 && c.Load <= 10): // NaN too
		return c, fmt.Errorf("ring: Config.Load: %v is not in 1..10", c.Load)
	}
	return c, nil
}

// Validate returns the error that New would return for this Config, which names
// the field that is wrong.
func (c Config) Validate() error {
	_, err := c.withDefaults()
	return err
}

// Fingerprint is equal for two Configs exactly if they give equal rings for equal
// members (but for a collision of 64-bit hashes). Defaults are filled in first, so
// the zero value and the spelled-out defaults have the same one. It covers the
// hash function and the version of the placement algorithm too.
func (c Config) Fingerprint() uint64 {
	c, _ = c.withDefaults()
	return xxhash.Sum64String(fmt.Sprintf("partitions=%d virtual=%d load=%016x hash=%s table=%s",
		c.Partitions, c.VirtualNodes, math.Float64bits(c.Load), hashName, algorithm))
}

// Describe is the Config in words with defaults filled in, as in "1021 partitions,
// 100 virtual nodes, load 1.25, xxhash64, consistent/1.0.0". It is for error
// messages that show what differs between two nodes.
func (c Config) Describe() string {
	c, _ = c.withDefaults()
	return fmt.Sprintf("%d partitions, %d virtual nodes, load %v, %s, %s",
		c.Partitions, c.VirtualNodes, c.Load, hashName, algorithm)
}
