package ring_test

import (
	"fmt"

	"github.com/sessionproc/sessionproc/ring"
)

func Example() {
	before, err := ring.New(ring.Config{}, []string{"web-0", "web-1", "web-2"})
	if err != nil {
		panic(err)
	}
	owner, _ := before.OwnerOf("b2f5ff47436671b6e533d8dc3614845d")
	fmt.Println("partition", before.Partition("b2f5ff47436671b6e533d8dc3614845d"), "belongs to", owner)

	after, err := ring.New(ring.Config{}, []string{"web-0", "web-1", "web-2", "web-3"})
	if err != nil {
		panic(err)
	}
	moves := ring.Diff(before, after)
	fmt.Printf("a fourth member moves %d of %d partitions\n", len(moves), after.Partitions())
	// Output:
	// partition 6 belongs to web-1
	// a fourth member moves 248 of 1021 partitions
}
