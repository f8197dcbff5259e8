package endpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// placed is a machine with these addresses: private, public, and those of its interfaces.
func placed(private, public string, interfaces ...string) surroundings {
	give := func(ip string) func() (string, error) { return func() (string, error) { return ip, nil } }
	return surroundings{private: give(private), public: give(public),
		interfaces: func() ([]net.Addr, error) {
			var all []net.Addr
			for _, text := range interfaces {
				ip, network, err := net.ParseCIDR(text)
				if err != nil {
					return nil, err
				}
				all = append(all, &net.IPNet{IP: ip, Mask: network.Mask})
			}
			return all, nil
		},
		lookup: func(_ context.Context, _, host string) ([]netip.Addr, error) {
			if host == "web-1.shop" {
				return []netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("10.1.2.3")}, nil
			}
			return nil, errors.New("no such host " + host)
		}}
}

func TestAdvertisedAddressIsOneThatOthersCanDial(t *testing.T) {
	both := placed("10.0.0.7", "198.51.100.7", "127.0.0.1/8", "10.0.0.7/24", "2001:db8::1/64")
	only6 := placed("", "", "127.0.0.1/8", "::1/128", "fe80::1/64", "2001:db8::1/64")
	for _, row := range []struct {
		name            string
		on              surroundings
		bind, advertise string
		want, err       string
	}{
		{name: "loopback", on: both, bind: "127.0.0.1:7946", want: "127.0.0.1:7946"},
		{name: "IPv6 loopback", on: both, bind: "[::1]:7946", want: "[::1]:7946"},
		{name: "one interface", on: both, bind: "10.0.0.7:7946", want: "10.0.0.7:7946"},
		{name: "IPv4 in IPv6", on: both, bind: "[::ffff:10.0.0.7]:7946", want: "10.0.0.7:7946"},
		{name: "name to bind to", on: both, bind: "web-1.shop:7946", want: "10.1.2.3:7946"},
		{name: "every interface: private first", on: both, bind: "0.0.0.0:7946", want: "10.0.0.7:7946"},
		{name: "every interface, IPv6 too", on: both, bind: "[::]:7946", want: "10.0.0.7:7946"},
		{name: "no host", on: both, bind: ":7946", want: "10.0.0.7:7946"},
		{name: "then public", on: placed("", "198.51.100.7"), bind: ":7946", want: "198.51.100.7:7946"},
		{name: "then IPv6", on: only6, bind: "[::]:7946", want: "[2001:db8::1]:7946"},
		{name: "no default route", on: placed("", "", "192.168.1.5/24"), bind: "0.0.0.0:7946", want: "192.168.1.5:7946"},
		{name: "IPv4 only and none there", on: only6, bind: "0.0.0.0:7946",
			err: "none has an address that others could dial: set Config.Advertise"},
		{name: "nothing but loopback", on: placed("", "", "127.0.0.1/8"), bind: ":7946",
			err: `Config.Bind ":7946": every interface is meant`},
		{name: "zone", on: both, bind: "[fe80::1%eth0]:7946",
			err: `the zone "eth0" has no meaning on other machines: set Config.Advertise`},
		{name: "given", on: both, bind: ":7946", advertise: "203.0.113.5:99", want: "203.0.113.5:99"},
		{name: "given without port", on: both, bind: ":7946", advertise: "203.0.113.5", want: "203.0.113.5:7946"},
		{name: "given with port 0", on: both, bind: ":7946", advertise: "203.0.113.5:0", want: "203.0.113.5:7946"},
		{name: "given IPv6", on: both, bind: ":7946", advertise: "[2001:db8::9]:99", want: "[2001:db8::9]:99"},
		{name: "given IPv6, bare", on: both, bind: ":7946", advertise: "2001:db8::9", want: "[2001:db8::9]:7946"},
		{name: "given name", on: both, bind: "0.0.0.0:7946", advertise: "web-1.shop", want: "10.1.2.3:7946"},
		{name: "given name for IPv6", on: both, bind: "[2001:db8::1]:7946", advertise: "web-1.shop:99",
			want: "[2001:db8::7]:99"},
		{name: "unknown name", on: both, bind: ":7946", advertise: "nowhere:1",
			err: `Config.Advertise "nowhere:1": no such host nowhere`},
		{name: "unspecified", on: both, bind: ":7946", advertise: "0.0.0.0:7946",
			err: `Config.Advertise "0.0.0.0:7946": an unspecified address cannot be dialled`},
		{name: "multicast", on: both, bind: ":7946", advertise: "224.0.0.1:7946", err: "multicast"},
		{name: "given zone", on: both, bind: ":7946", advertise: "[fe80::1%eth0]:7946", err: `the zone "eth0"`},
		{name: "no host given", on: both, bind: ":7946", advertise: ":7946",
			err: `Config.Advertise ":7946": the host is missing`},
		{name: "port beyond", on: both, bind: ":7946", advertise: "10.0.0.1:70000",
			err: "the port must be a number from 0 to 65535"},
	} {
		t.Run(row.name, func(t *testing.T) {
			at, err := row.on.bind(t.Context(), row.bind)
			require.NoError(t, err)
			got, err := row.on.advertise(t.Context(), row.advertise, at)
			if row.err != "" {
				require.ErrorContains(t, err, row.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, got.String())
		})
	}
}

func TestBadBindIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1":       `Config.Bind "127.0.0.1": must be host:port`,
		"::1:7946":        "must be host:port, an IPv6 address in brackets",
		"127.0.0.1:http":  "the port must be a number from 0 to 65535",
		"127.0.0.1:65536": "the port must be a number from 0 to 65535",
		"nowhere:7946":    `Config.Bind "nowhere:7946": no such host nowhere`,
	} {
		_, err := placed("", "").bind(t.Context(), text)
		require.ErrorContains(t, err, want)
	}
	at, err := placed("", "").bind(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:0", at.String())
}

func TestOnlyLoopbackIsOpenWithoutASecret(t *testing.T) {
	for _, row := range []struct {
		bind                    string
		secret, certs, insecure bool
		want                    string
	}{
		{bind: "127.0.0.1:1"}, {bind: "127.9.9.9:1"}, {bind: "[::1]:1"}, {bind: "127.0.0.1:1", certs: true},
		{bind: "10.0.0.7:1", secret: true}, {bind: ":1", secret: true, certs: true},
		{bind: ":1", insecure: true}, {bind: "10.0.0.7:1", certs: true, insecure: true},
		{bind: "10.0.0.7:1", want: `Config.Bind "10.0.0.7:1": without a secret a node binds to loopback only`},
		{bind: ":1", want: "go run github.com/sessionproc/sessionproc/node/newsecret"},
		{bind: "0.0.0.0:1", want: "Config.Insecure"},
		{bind: "[2001:db8::1]:1", want: "loopback only"},
		{bind: "10.0.0.7:1", certs: true,
			want: "Config.TLS alone leaves gossip packets open to forgery: set Config.Secret beside it"},
	} {
		at, err := placed("", "").bind(t.Context(), row.bind)
		require.NoError(t, err)
		err = checkExposure(at, row.secret, row.certs, row.insecure)
		if row.want == "" {
			require.NoError(t, err, row.bind)
		} else {
			require.ErrorContains(t, err, row.want)
		}
	}
	_, err := New(t.Context(), Config{Bind: "0.0.0.0:0", Cluster: "shop", Boot: 1})
	require.ErrorContains(t, err, "loopback only", "the endpoint asks before it listens")
}
