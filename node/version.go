package node

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"sync"
)

// programVersion is the version of the program's main module, as it was built.
var programVersion = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
})

// ringName is a fingerprint of the ring's settings, as people compare it.
func ringName(fingerprint uint64) string { return fmt.Sprintf("%016x", fingerprint) }

// kindInfos are the kinds that this node was given, sorted by name.
func (n *Node) kindInfos() (all []KindInfo) {
	for _, k := range n.roster.Own().Kinds {
		h := sha256.New()
		for _, names := range [][]string{k.Methods, k.Notices, k.Events} {
			fmt.Fprintf(h, "%q\n", names) // sorted
		}
		all = append(all, KindInfo{k.Name, k.Schema, hex.EncodeToString(h.Sum(nil)[:4])})
	}
	return all
}
