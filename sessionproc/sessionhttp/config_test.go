package sessionhttp_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	good := [][]byte{key("good")}
	for what, row := range map[string]struct {
		cfg   sessionhttp.Config
		names string
	}{
		"no key":               {sessionhttp.Config{}, "Config.Keys"},
		"short key":            {sessionhttp.Config{Keys: [][]byte{make([]byte, 31)}}, "Config.Keys[0]"},
		"second key short":     {sessionhttp.Config{Keys: [][]byte{key("a"), {1}}}, "Config.Keys[1]"},
		"nil key":              {sessionhttp.Config{Keys: [][]byte{nil}}, "Config.Keys[0]"},
		"key never filled":     {sessionhttp.Config{Keys: [][]byte{make([]byte, 32)}}, "Config.Keys[0]"},
		"key of one character": {sessionhttp.Config{Keys: [][]byte{bytes.Repeat([]byte("x"), 64)}}, "Config.Keys[0]"},
		"name with a space":    {sessionhttp.Config{Keys: good, CookieName: "my session"}, "Config.CookieName"},
		"name with =":          {sessionhttp.Config{Keys: good, CookieName: "a=b"}, "Config.CookieName"},
		"path without slash":   {sessionhttp.Config{Keys: good, Path: "shop"}, "Config.Path"},
		"path with semicolon":  {sessionhttp.Config{Keys: good, Path: "/a;b"}, "Config.Path"},
		"domain":               {sessionhttp.Config{Keys: good, Domain: "no domain"}, "Config.Domain"},
		"negative age":         {sessionhttp.Config{Keys: good, MaxAge: -time.Second}, "Config.MaxAge"},
		"age below a second":   {sessionhttp.Config{Keys: good, MaxAge: time.Millisecond}, "Config.MaxAge"},
		"same site":            {sessionhttp.Config{Keys: good, SameSite: 9}, "Config.SameSite"},
		"none, not secure": {sessionhttp.Config{Keys: good, SameSite: http.SameSiteNoneMode, Insecure: true},
			"Config.SameSite"},
		"host, not secure": {sessionhttp.Config{Keys: good, CookieName: "__Host-a", Insecure: true}, "Config.CookieName"},
		"host with path":   {sessionhttp.Config{Keys: good, CookieName: "__host-a", Path: "/a"}, "Config.CookieName"},
		"host with domain": {sessionhttp.Config{Keys: good, CookieName: "__Host-a", Domain: "a.example"},
			"Config.CookieName"},
		"secure, not secure": {sessionhttp.Config{Keys: good, CookieName: "__Secure-a", Insecure: true},
			"Config.CookieName"},
	} {
		t.Run(what, func(t *testing.T) {
			s, err := sessionhttp.New(row.cfg)
			require.Nil(t, s)
			require.ErrorContains(t, err, "sessionhttp: "+row.names+": ")
		})
	}
}

func TestConfigTakesWhatBrowsersAccept(t *testing.T) {
	for what, cfg := range map[string]sessionhttp.Config{
		"none":          {SameSite: http.SameSiteNoneMode},
		"default mode":  {SameSite: http.SameSiteDefaultMode},
		"secure prefix": {CookieName: "__Secure-a", Domain: "a.example", Path: "/a"},
		"host prefix":   {CookieName: "__Host-a"},
		"plain":         {CookieName: "sid", Insecure: true, Domain: "a.example"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSessions(t, cfg)
			id, header := signed(t, s)
			got, _ := visit(s, header)
			require.Equal(t, id, got)
		})
	}
}
