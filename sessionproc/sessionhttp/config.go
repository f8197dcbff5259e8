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

// MinKey is the minimum length of a key, in bytes.
const MinKey = 32

// Default names of the cookie. A browser accepts a name with the prefix
// "__Host-" only from a secure origin, for this very host and for every path:
// no other host of the same domain can plant a cookie under it.
const (
	hostCookie  = "__Host-session"
	plainCookie = "session"
)

// Config says how browsers are tied to sessions. All replicas need the same Config.
type Config struct {
	// Keys sign the cookie: the first key signs, all keys verify. At least one key is required. Each
	// needs at least MinKey random bytes, for instance from "openssl rand -base64 32". Keep them
	// secret. New copies them.
	Keys [][]byte

	// CookieName is the name of the cookie. Default: "__Host-session", or "session" if Insecure,
	// Domain or Path do not allow that prefix. The name is signed as well, so a cookie is not valid
	// under another name.
	CookieName string

	// Path is the part of the site to which browsers send the cookie. Default: "/".
	Path string

	// Domain makes browsers send the cookie to all hosts of a domain. Default: "", only to the host
	// that set it, which is safer.
	Domain string

	// MaxAge is how long the browser keeps the cookie after the answer that set it, in whole
	// seconds. Default: 0, until the browser is closed. Negative values are refused. MaxAge does not
	// affect how long the session lives; its kind decides that.
	MaxAge time.Duration

	// Sliding makes MaxAge begin again with use: a request whose cookie was set more than a tenth of
	// MaxAge ago gets the cookie again. The cookie then contains the signed time at which it was set.
	// Releases without Sliding do not understand that form, so set Sliding when no replica runs such
	// a release any more. If an answer with the old ID is on its way while [Sessions.Renew] answers
	// another request of the browser, and arrives later, it brings the old ID back. Default: false,
	// MaxAge counts from the first answer.
	Sliding bool

	// SameSite says whether browsers send the cookie with requests that other sites cause. Default:
	// http.SameSiteLaxMode. http.SameSiteNoneMode allows cross-site requests, and is refused together
	// with Insecure.
	SameSite http.SameSite

	// IdempotencyKeys makes the middleware heed the header Idempotency-Key: calls that are made with
	// the request's context have keys, made of its value, as sessionproc.WithKey gives them. Each
	// call has a key of its own: it counts which call of its method of its session it is in this
	// request. So when a client sends a request again, with the same key and the same cookie, the
	// handlers of sessions do not run again, and the request gets the replies of the first one. That
	// needs a handler of the request that makes the same calls again, and kinds that keep replies
	// (KindConfig.Dedup). A request with a header that is no key, or with several, gets 400: a key is
	// 1 to 255 visible ASCII characters, with or without the quotes of RFC 8941 around them. Default:
	// false, the header means nothing to this package.
	IdempotencyKeys bool

	// Insecure omits the cookie's Secure attribute, for development over plain HTTP. Default: false;
	// most browsers then ignore the cookie over plain HTTP, so that each request gets a new ID.
	Insecure bool
}

// withDefaults sets the defaults and refuses settings that cannot work.
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

// checkAttributes checks the attributes with net/http, which silently drops invalid ones when it
// writes a cookie.
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
		return fmt.Errorf("sessionhttp: Config.Sliding: Config.MaxAge is %v, at least %v are needed",
			c.MaxAge, slides*time.Second)
	}
	switch c.SameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if c.Insecure {
			return errors.New("sessionhttp: Config.SameSite: None needs a Secure cookie, " +
				"browsers refuse it with Config.Insecure")
		}
	default:
		return fmt.Errorf("sessionhttp: Config.SameSite: %d is no mode of http.SameSite", c.SameSite)
	}
	return nil
}

// checkPrefix checks the attributes that the prefix of a cookie's name requires. Browsers silently
// refuse a cookie without them.
func (c Config) checkPrefix() error {
	name := strings.ToLower(c.CookieName)
	host := strings.HasPrefix(name, "__host-")
	switch {
	case !host && !strings.HasPrefix(name, "__secure-"):
		return nil
	case c.Insecure:
		return fmt.Errorf("sessionhttp: Config.CookieName: %q needs a Secure cookie, "+
			"browsers refuse it with Config.Insecure", c.CookieName)
	case host && c.Path != "/":
		return fmt.Errorf("sessionhttp: Config.CookieName: %q needs Config.Path \"/\"", c.CookieName)
	case host && c.Domain != "":
		return fmt.Errorf("sessionhttp: Config.CookieName: %q allows no Config.Domain", c.CookieName)
	}
	return nil
}
