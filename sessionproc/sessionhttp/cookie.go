package sessionhttp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// label keeps our signatures apart from all others made with the same key.
const label = "sessionproc/sessionhttp cookie 1"

// slidingLabel is the same for cookies that hold when they were set.
const slidingLabel = "sessionproc/sessionhttp sliding cookie 1"

// slides is how many times in MaxAge a sliding cookie is set anew, at most.
const slides = 10

// maxTime is the length of the longest time in a cookie.
const maxTime = 13

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

// A content is what a cookie that we signed says.
type content struct {
	id  string
	key int       // which one signed it
	set time.Time // when it was set; zero: it does not say
}

// open returns what a cookie says; ok is false unless one of our keys signed it.
// It looks at no more than a valid value's length, and compares in constant time.
// The encoded forms are compared, so that no second spelling of a signature passes.
func (s signer) open(value string) (c content, ok bool) {
	if len(value) > sessionproc.MaxID+1+maxTime+1+macLen {
		return content{}, false
	}
	id, rest, _ := strings.Cut(value, ".")
	set, mac, sliding := strings.Cut(rest, ".")
	if !sliding {
		set, mac = "", rest
	}
	if len(mac) != macLen || sessionproc.ValidID(id) != nil {
		return content{}, false
	}
	if sliding {
		seconds, err := strconv.ParseInt(set, 36, 64)
		if err != nil || strconv.FormatInt(seconds, 36) != set {
			return content{}, false
		}
		c.set = time.Unix(seconds, 0)
	}
	for i, k := range s.keys {
		if hmac.Equal([]byte(mac), []byte(s.macAt(k, id, set))) {
			c.id, c.key = id, i
			return c, true
		}
	}
	return content{}, false
}

// signAt is sign for a cookie that says when it was set.
func (s signer) signAt(id string, set time.Time) string {
	text := strconv.FormatInt(set.Unix(), 36)
	return id + "." + text + "." + s.macAt(s.keys[0], id, text)
}

// macAt is mac for a cookie that was set at a time; without one it is mac.
func (s signer) macAt(key []byte, id, set string) string {
	if set == "" {
		return s.mac(key, id)
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(slidingLabel + "\x00" + s.name + "\x00" + id + "\x00" + set))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// mac authenticates label, cookie name and ID. None of them can hold a zero
// byte, so the three cannot run into each other.
func (s signer) mac(key []byte, id string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(label + "\x00" + s.name + "\x00" + id))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
