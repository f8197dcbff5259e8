package cluster

import (
	"slices"
	"sync"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

func key(b byte) []byte { return slices.Repeat([]byte{b}, 32) }

// Keys are replaced while memberlist reads them: it never sees one twice, or a key less
// than it should (under -race: nor a list that is being changed).
func TestReplacedKeysShowReadersNoGap(t *testing.T) {
	ring, err := memberlist.NewKeyring([][]byte{key(1), key(2), key(3)}, key(1))
	require.NoError(t, err)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	defer readers.Wait()
	defer close(stop)
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				seen := map[byte]bool{}
				for _, k := range ring.GetKeys() {
					if seen[k[0]] {
						t.Errorf("key %d twice", k[0])
						return
					}
					seen[k[0]] = true
				}
				if !seen[3] {
					t.Error("a key that is in all lists is missing")
					return
				}
			}
		})
	}
	for range 200 {
		for _, keys := range [][][]byte{
			{key(3)}, {key(3), key(4)}, {key(4), key(3)}, {key(5), key(3), key(6)}, {key(3), key(6), key(2)},
			{key(1), key(2), key(3)},
		} {
			require.NoError(t, replaceKeys(ring, keys))
			require.ElementsMatch(t, keys, ring.GetKeys())
			require.Equal(t, keys[0], ring.GetPrimaryKey())
		}
	}
}
