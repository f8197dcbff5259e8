package sessionhttp

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// MinKey is the least length of a key, in bytes.
const MinKey = 32

// Default names of the cookie. A browser accepts a name with the prefix
// "__Host-" only from a secure origin, for this very host and for every path:
// no other host of the same domain can plant a cookie under it.
const (
	hostCookie  = "__Host-session"
	plainCookie = "session"
)

// Config says how sessions are tied to browsers. All replicas need the same.
type Config struct {
	// Keys sign the cookie: the first one signs, all of them verify. At least
	// one, each of at least MinKey random bytes, kept secret, the same on all
	// replicas. Make one with "openssl rand -base64 32". They are copied.
	Keys [][]byte

	// CookieName is the cookie's name. Default: "__Host-session", or "session"
	// where Insecure, Domain or Path do not allow that prefix. The name is
	// signed too: another name is another cookie.
	CookieName string

	// Path is the part of the site that gets the cookie. Default: "/".
	Path string

	// Domain widens the cookie to all hosts of a domain. Default: "", only the
	// host that answered, which is safer.
	Domain string

	// MaxAge is how long the browser keeps the cookie, in whole seconds, counted
	// from the answer that set it. Default: 0, until the browser is closed.
	// Negative values are refused. How long the session lives is another matter:
	// its kind decides that.
	MaxAge time.Duration

	// Sliding has MaxAge begin anew with use: a request whose cookie was set more
	// than a tenth of MaxAge ago gets it again. The cookie then holds, signed, when
	// it was set; releases without Sliding do not know that form, so set it when no
	// replica runs one any more. An answer that is on its way with the old ID while
	// [Sessions.Renew] answers another request of the browser, and arrives after
	// it, brings the old ID back. Default: false, MaxAge counts from the first answer.
	Sliding bool

	// SameSite says whether requests that other sites cause carry the cookie.
	// Default: http.SameSiteLaxMode. http.SameSiteNoneMode opens the door to
	// cross-site requests and is refused together with Insecure.
	SameSite http.SameSite

	// Insecure drops the cookie's Secure attribute, for development over plain
	// HTTP. Default: false; most browsers then drop the cookie on plain HTTP, and
	// each request comes with a new ID.
	Insecure bool
}

// withDefaults fills in what is not set and refuses what cannot work.
func (c Config) withDefaults() (Config, error) {
	keys, err := cloneKeys(c.Keys)
	if err != nil {
		return Config{}, err
	}
	c.Keys = keys
	if c.Path == "" {
		c.Path = "/"
	}
	if c.CookieName == "" {
		c.CookieName = hostCookie
		if c.Insecure || c.Domain != "" || c.Path != "/" {
			c.CookieName = plainCookie
		}
	}
	if c.SameSite == 0 || c.SameSite == http.SameSiteDefaultMode {
		c.SameSite = http.SameSiteLaxMode
	}
	if err := c.checkAttributes(); err != nil {
		return Config{}, err
	}
	return c, c.checkPrefix()
}

func cloneKeys(keys [][]byte) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, errors.New("sessionhttp: Config.Keys: at least one key is needed, see \"openssl rand -base64 32\"")
	}
	own := make([][]byte, len(keys))
	for i, key := range keys {
		if len(key) < MinKey {
			return nil, fmt.Errorf("sessionhttp: Config.Keys[%d]: %d bytes, at least %d are needed", i, len(key), MinKey)
		}
		if bytes.Count(key, key[:1]) == len(key) {
			return nil, fmt.Errorf("sessionhttp: Config.Keys[%d]: all its bytes are equal, it needs random ones", i)
		}
		own[i] = slices.Clone(key)
	}
	return own, nil
}

// checkAttributes asks net/http, which would drop what it does not like in
// silence when the cookie is written.
func (c Config) checkAttributes() error {
	if err := (&http.Cookie{Name: c.CookieName}).Valid(); err != nil {
		return fmt.Errorf("sessionhttp: Config.CookieName: %q is no name for a cookie", c.CookieName)
	}
	if err := (&http.Cookie{Name: "x", Path: c.Path}).Valid(); err != nil || c.Path[0] != '/' {
		return fmt.Errorf("sessionhttp: Config.Path: %q is no path for a cookie, it starts with a slash", c.Path)
	}
	if c.Domain != "" {
		if err := (&http.Cookie{Name: "x", Domain: c.Domain}).Valid(); err != nil {
			return fmt.Errorf("sessionhttp: Config.Domain: %q is no domain for a cookie", c.Domain)
		}
	}
	if c.MaxAge < 0 || c.MaxAge > 0 && c.MaxAge < time.Second {
		return fmt.Errorf("sessionhttp: Config.MaxAge: %v, it is 0 or at least one second", c.MaxAge)
	}
	if c.Sliding && c.MaxAge < slides*time.Second {
		return fmt.Errorf("sessionhttp: Config.Sliding: Config.MaxAge is %v, at least %v are needed", c.MaxAge, slides*time.Second)
	}
	switch c.SameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if c.Insecure {
			return errors.New("sessionhttp: Config.SameSite: None needs a Secure cookie, browsers refuse it with Config.Insecure")
		}
	default:
		return fmt.Errorf("sessionhttp: Config.SameSite: %d is no mode of http.SameSite", c.SameSite)
	}
	return nil
}

// checkPrefix holds the name to what its prefix promises: browsers refuse a
// cookie that breaks it, without a word.
func (c Config) checkPrefix() error {
	name := strings.ToLower(c.CookieName)
	host := strings.HasPrefix(name, "__host-")
	switch {
	case !host && !strings.HasPrefix(name, "__secure-"):
		return nil
	case c.Insecure:
		return fmt.Errorf("sessionhttp: Config.CookieName: %q needs a Secure cookie, browsers refuse it with Config.Insecure", c.CookieName)
	case host && c.Path != "/":
		return fmt.Errorf("sessionhttp: Config.CookieName: %q needs Config.Path \"/\"", c.CookieName)
	case host && c.Domain != "":
		return fmt.Errorf("sessionhttp: Config.CookieName: %q allows no Config.Domain", c.CookieName)
	}
	return nil
}
