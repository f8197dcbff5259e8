package core

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

func LogID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return fmt.Sprintf("%.4s…%s", id, hex.EncodeToString(sum[:4]))
}
