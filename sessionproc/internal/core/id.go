package core

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// LogID returns the form of a session ID for logs: its first characters and a hash.
func LogID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return fmt.Sprintf("%.4s…%s", id, hex.EncodeToString(sum[:4]))
}
