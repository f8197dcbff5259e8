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

// A knock is what a node that has a secret says in the first record of TLS, among the
// protocols that it offers: a time, a number that is used once, and a code over both. Who
// knocks rightly waits for no turn and cannot be crowded out: without it a node at an
// address from which a flood comes is told from the flood only when it is too late. It
// opens nothing: whoever has come in that way has everything to prove that others have.
// Earlier releases ignore it.
const (
	knockPrefix = "sessionproc-knock/"
	knockWindow = 2 * time.Minute // that far two clocks may be apart; beyond it a knock is no help
	knocksMost  = 8 << 10         // so many are remembered; beyond it likewise
	trustedMost = 128             // that knocked and are not known yet, at a time

	knockTime, knockNonce, knockCode = 8, 12, 16 // bytes
)

type nonce [knockNonce]byte

// appendKnock is one that says the given time.
func (k secretKey) appendKnock(now time.Time, n nonce) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	b = append(b, n[:]...)
	return append(b, k.sign([]byte("knock"), b)[:knockCode]...)
}

// knock is for one connection; "" without a secret.
func (a *auth) knock() string {
	ks := a.keys.Load()
	if ks.none() {
		return ""
	}
	var n nonce
	_, _ = rand.Read(n[:]) // it never fails
	return knockPrefix + base64.RawURLEncoding.EncodeToString(ks.list[0].appendKnock(time.Now(), n))
}

// knocks remembers which were used. Safe for concurrent use.
type knocks struct {
	mu   sync.Mutex // guards used
	used map[nonce]time.Time
}

// right reports whether one of the protocols that a client offers is a good knock, which
// it can be once.
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

// use reports whether a knock was not used before, and can be remembered.
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
