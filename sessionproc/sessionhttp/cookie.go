package sessionhttp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// label keeps our signatures apart from all others made with the same key.
const label = "sessionproc/sessionhttp cookie 1"

// macLen is the length of an encoded HMAC-SHA256.
var macLen = base64.RawURLEncoding.EncodedLen(sha256.Size)

// signer makes and checks the values of one cookie.
type signer struct {
	name string
	keys [][]byte
}

// sign returns the cookie's value for id, signed with the first key.
func (s signer) sign(id string) string {
	return id + "." + s.mac(s.keys[0], id)
}

// verify returns the ID in value and the index of the key that signed it; ok is
// false unless one of our keys did. It looks at no more than a valid value's
// length, and compares in constant time. The encoded forms are compared, so
// that no second spelling of a signature passes.
func (s signer) verify(value string) (id string, key int, ok bool) {
	if len(value) > sessionproc.MaxID+1+macLen {
		return "", 0, false
	}
	id, mac, found := strings.Cut(value, ".")
	if !found || len(mac) != macLen || sessionproc.ValidID(id) != nil {
		return "", 0, false
	}
	for i, k := range s.keys {
		if hmac.Equal([]byte(mac), []byte(s.mac(k, id))) {
			return id, i, true
		}
	}
	return "", 0, false
}

// mac authenticates label, cookie name and ID. None of them can hold a zero
// byte, so the three cannot run into each other.
func (s signer) mac(key []byte, id string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(label + "\x00" + s.name + "\x00" + id))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
