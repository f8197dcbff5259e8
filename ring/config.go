package ring

import (
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// hashName and algorithm name how members are turned into owners. Both are
// parts of the fingerprint: another release of the library may place partitions
// differently (v0.10.0 and v1.0.0 do, for 68 to 96 % of them).
const (
	hashName  = "xxhash64"
	algorithm = "consistent/1.0.0"
)

// Config says how many partitions there are and how they are placed. The zero
// value is the default. All nodes of a cluster must have the same Config. To
// change it, stop the whole cluster.
type Config struct {
	// Partitions is the number of parts of the space of IDs: 1 to 65521, where 0
	// means 1021. A prime of at least 20 times the number of members spreads the
	// load well.
	Partitions int

	// VirtualNodes is how many points each member has on the ring: 1 to 1000, where
	// 0 means 100. With more points fewer partitions move between members that stay,
	// and New is slower.
	VirtualNodes int

	// Load bounds the partitions of one member, as a multiple of the average: 1 to
	// 10, where 0 means 1.25. A lower value spreads them more evenly and moves more
	// of them when the members change.
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

// Validate returns the error that New would return for this Config. It names
// the field.
func (c Config) Validate() error {
	_, err := c.withDefaults()
	return err
}

// Fingerprint returns a number that is equal for two Configs exactly if they
// give equal rings for equal members (except for collisions of a 64-bit hash).
// Defaults are filled in first. The fingerprint covers the hash function and
// the version of the placement algorithm too.
func (c Config) Fingerprint() uint64 {
	c, _ = c.withDefaults()
	return xxhash.Sum64String(fmt.Sprintf("partitions=%d virtual=%d load=%016x hash=%s table=%s",
		c.Partitions, c.VirtualNodes, math.Float64bits(c.Load), hashName, algorithm))
}

// Describe returns the Config in words, with defaults filled in: "1021
// partitions, 100 virtual nodes, load 1.25, xxhash64, consistent/1.0.0". Error
// messages show it when two nodes differ.
func (c Config) Describe() string {
	c, _ = c.withDefaults()
	return fmt.Sprintf("%d partitions, %d virtual nodes, load %v, %s, %s",
		c.Partitions, c.VirtualNodes, c.Load, hashName, algorithm)
}
