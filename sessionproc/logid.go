package sessionproc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

func logID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return fmt.Sprintf("%.4s…%s", id, hex.EncodeToString(sum[:4]))
}
