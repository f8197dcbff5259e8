package sessionproc

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// MaxID is the length of the longest session ID, in bytes.
const MaxID = 128

// NewID returns a fresh session ID: 32 characters of [A-Za-z0-9_-] with 192
// random bits from crypto/rand. A session ID is a bearer secret: who knows it
// can call the session.
func NewID() string {
	var b [24]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// DeriveID makes a session ID of any key, such as an e-mail address, that is
// not itself a valid ID. Equal namespace and key give equal IDs on every node
// and in every release; the ID is the SHA-256 of both and does not show the
// key, but it is only as hard to guess as the key is.
func DeriveID(namespace, key string) string {
	h := sha256.New()
	fmt.Fprintf(h, "sessionproc id\x00%d\x00%s\x00%s", len(namespace), namespace, key)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// outsideID is 1 for each byte that a session ID may not hold.
var outsideID = func() (bad [256]byte) {
	for c := range bad {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			bad[c] = 1
		}
	}
	return bad
}()

// ValidID returns nil if id is a session ID: 1 to 128 bytes of [A-Za-z0-9_-].
// Otherwise the error is ErrInvalidID with what is wrong.
func ValidID(id string) error {
	if len(id) == 0 || len(id) > MaxID {
		return invalid(id)
	}
	bad, rest := byte(0), id
	for ; len(rest) >= 8; rest = rest[8:] { // on every call's path
		bad |= outsideID[rest[0]] | outsideID[rest[1]] | outsideID[rest[2]] | outsideID[rest[3]] |
			outsideID[rest[4]] | outsideID[rest[5]] | outsideID[rest[6]] | outsideID[rest[7]]
	}
	for i := range len(rest) {
		bad |= outsideID[rest[i]]
	}
	if bad != 0 {
		return invalid(id)
	}
	return nil
}

// invalid says what is wrong with id.
func invalid(id string) error {
	switch {
	case len(id) == 0:
		return fmt.Errorf("%w: it is empty", ErrInvalidID)
	case len(id) > MaxID:
		return fmt.Errorf("%w: it has %d bytes, the limit is %d (MaxID)", ErrInvalidID, len(id), MaxID)
	}
	i := 0
	for outsideID[id[i]] == 0 {
		i++
	}
	return fmt.Errorf("%w: byte %d is %q, allowed are letters, digits, '_' and '-' (DeriveID makes an ID of any text)",
		ErrInvalidID, i, id[i])
}

// LogID returns a form of a session ID that is fit for logs: its first four
// characters and a hash by which two log lines of one session can be matched.
// The library never logs an ID whole.
func LogID(id string) string {
	return core.LogID(id)
}
