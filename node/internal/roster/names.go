package roster

import (
	"fmt"
	"strings"
)

// MaxNamed bounds the names in one list of a log line.
const MaxNamed = 20

// Shortened joins names, of which it names the first MaxNamed.
func Shortened(names []string) string {
	if more := len(names) - MaxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:MaxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}
