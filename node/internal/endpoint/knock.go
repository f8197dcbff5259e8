package endpoint

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"strings"
	"sync"
	"time"
)

// A knock identifies a likely member in the first record of TLS, before the server spends
// any time on cryptography. A node that has a secret offers it as one more ALPN protocol:
// the time, a nonce, and an HMAC over both.
//
// A flood from many addresses can fill all places and the turnstile's queue. A member whose
// address is among those of the flood looks like the flood until the handshake is complete,
// and the handshake is what the flood prevents. A connection with a valid knock waits for
// no turn and cannot be crowded out.
//
// A knock opens nothing else: the hello must still prove the secret. So a replayed knock
// gains an attacker only a place in the handshake, and the nonce and the time limit how
// often. Earlier releases ignore the unknown protocol.
const (
	knockPrefix = "sessionproc-knock/"

	// knockWindow is how far the clocks of two nodes may differ. A node with a worse clock
	// connects without the help of a knock.
	knockWindow = 2 * time.Minute
	// knocksMost bounds the remembered nonces. While that many are remembered, new knocks
	// do not help.
	knocksMost = 8 << 10

	knockTime, knockNonce, knockCode = 8, 12, 16 // bytes
)

type nonce [knockNonce]byte

// appendKnock returns the binary form of a knock at the given time.
func (k secretKey) appendKnock(now time.Time, n nonce) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	b = append(b, n[:]...)
	return append(b, k.sign([]byte("knock"), b)[:knockCode]...)
}

// knock returns the ALPN protocol to offer on one connection, or "" without a
// secret.
func (a *auth) knock() string {
	ks := a.keys.Load()
	if ks.none() {
		return ""
	}
	var n nonce
	_, _ = rand.Read(n[:]) // it never fails
	return knockPrefix + base64.RawURLEncoding.EncodeToString(ks.list[0].appendKnock(time.Now(), n))
}

// knocks remembers the nonces of the knocks that were used, so that each helps
// once. It is safe for concurrent use.
type knocks struct {
	mu   sync.Mutex // guards used
	used map[nonce]time.Time
}

// right reports whether one of the protocols that a client offers is a valid
// knock that was not used before. Only the first knock in the list counts, so
// that one record costs at most one check per key.
func (s *knocks) right(offered []string, ks *Keys, now time.Time) bool {
	for _, text := range offered {
		if text, ok := strings.CutPrefix(text, knockPrefix); ok {
			return s.isRight(text, ks, now)
		}
	}
	return false
}

func (s *knocks) isRight(text string, ks *Keys, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != knockTime+knockNonce+knockCode {
		return false
	}
	when := time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	if now.Sub(when).Abs() > knockWindow {
		return false
	}
	n := nonce(b[knockTime:])
	for _, k := range ks.list {
		if hmac.Equal(k.appendKnock(when, n), b) {
			return s.use(n, now)
		}
	}
	return false
}

// use records nonce n. It reports false if n was used before or cannot be
// remembered: a nonce that is not remembered could be used again. A nonce may
// be forgotten after twice knockWindow, because by then isRight refuses the
// knock for its age.
func (s *knocks) use(n nonce, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used == nil {
		s.used = map[nonce]time.Time{}
	}
	if len(s.used) >= knocksMost {
		maps.DeleteFunc(s.used, func(_ nonce, when time.Time) bool { return now.Sub(when) > 2*knockWindow })
	}
	if _, was := s.used[n]; was || len(s.used) >= knocksMost {
		return false
	}
	s.used[n] = now
	return true
}
