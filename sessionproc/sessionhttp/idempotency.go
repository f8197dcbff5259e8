package sessionhttp

import (
	"context"
	"net/http"
	"strings"

	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// maxIdempotencyKey bounds the length of a key, in bytes.
const maxIdempotencyKey = 255

// keyed returns ctx with the key that the request brings, if it brings one. ok is false if what it
// brings is no key.
func (s *Sessions) keyed(ctx context.Context, h http.Header) (_ context.Context, ok bool) {
	all := h["Idempotency-Key"]
	if !s.cfg.IdempotencyKeys || len(all) == 0 {
		return ctx, true
	}
	key, ok := idempotencyKey(all[0])
	if !ok || len(all) > 1 {
		return nil, false
	}
	return core.WithOnce(ctx, core.NewOnce(key), true), true
}

// idempotencyKey returns the key in the value of a header. The draft of the header says that the key
// is in quotes, and most clients send it without.
func idempotencyKey(value string) (key string, ok bool) {
	key = value
	if inner, begins := strings.CutPrefix(value, `"`); begins {
		if key, ok = strings.CutSuffix(inner, `"`); !ok {
			return "", false
		}
	}
	if key == "" || len(key) > maxIdempotencyKey {
		return "", false
	}
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return "", false
		}
	}
	return key, true
}
