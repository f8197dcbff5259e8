package sessionhttp

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// FuzzCookie sends any header: what comes out is an ID that we signed, or
// nothing.
func FuzzCookie(f *testing.F) {
	keys := [][]byte{bytes.Repeat([]byte("ab"), 16), bytes.Repeat([]byte("cd"), 16)}
	s, err := New(Config{Keys: keys})
	if err != nil {
		f.Fatal(err)
	}
	old := signer{name: s.signer.name, keys: keys[1:]}
	name := s.cfg.CookieName + "="
	f.Add("")
	f.Add(name)
	f.Add(name + "user_42")
	f.Add(name + s.signer.sign("user_42"))
	f.Add(name + old.sign("user_42"))
	f.Add(name + `"` + s.signer.sign("a") + `"`)
	f.Add("a=b; " + name + "x.y; " + name + s.signer.sign(strings.Repeat("z", sessionproc.MaxID)))
	f.Add(name + signer{name: "other", keys: keys}.sign("user_42"))
	f.Add(name + s.signer.signAt("user_42", time.Unix(1<<31, 0)))
	f.Add(name + "user_42." + strings.Repeat("z", maxTime) + "." + strings.Repeat("A", macLen))
	f.Add(name + "." + strings.Repeat("A", macLen))
	f.Add(name + strings.Repeat(".", 300) + "\x00\xff;=;" + name)
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Cookie": {header}}}
		c, ok := s.read(r)
		id, key := c.id, c.key
		if !ok {
			if id != "" {
				t.Fatalf("an ID without a signature: %q", id)
			}
			return
		}
		if err := sessionproc.ValidID(id); err != nil {
			t.Fatal(err)
		}
		by := signer{name: s.signer.name, keys: keys[key : key+1]}
		value := by.sign(id)
		if !c.set.IsZero() {
			value = by.signAt(id, c.set)
		}
		if !strings.Contains(header, value) {
			t.Fatalf("%q came from %q, which does not hold it signed by key %d", id, header, key)
		}
	})
}
