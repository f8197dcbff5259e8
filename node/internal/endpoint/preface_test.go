package endpoint

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
)

func TestPrefaceSaysWhatAConnectionIsFor(t *testing.T) {
	for _, p := range []purpose{forCalls, forBulk, forGossip, forStandby, forRefusal} {
		b := appendPreface(nil, p)
		require.Len(t, b, 8)
		require.Equal(t, "\x9eSPRC\x0a\x01", string(b[:7]))
		got, err := readPurpose(b)
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
	for want, b := range map[string]string{
		"not a sessionproc preface":                                      "\x9eSPRC\x0d\x0a\x01",
		"other preface version: this node speaks 1, the dialling node 2": "\x9eSPRC\x0a\x02\x01",
		"unknown kind of connection 9 in the preface":                    "\x9eSPRC\x0a\x01\x09",
	} {
		_, err := readPurpose([]byte(b))
		require.ErrorContains(t, err, want)
	}
	for _, c := range []transport.Class{transport.Calls, transport.Bulk, transport.Standby} {
		require.Equal(t, c, purposeOfClass(c).class())
	}
}

func TestRefusalIsBoundedAndPrintable(t *testing.T) {
	got, err := readRefusal(bytes.NewReader(appendRefusal(nil, "no\x1b[31m\nway \xff")))
	require.NoError(t, err)
	require.Equal(t, "no?[31m?way ?", got)
	got, err = readRefusal(bytes.NewReader(appendRefusal(nil, strings.Repeat("x", 70_000))))
	require.NoError(t, err)
	require.Len(t, got, maxRefusal)
}

func TestForeignProtocolIsNamedByItsFirstBytes(t *testing.T) {
	for head, want := range map[string]string{
		"GET / HT":          "an HTTP request on the cluster port",
		"OPTIONS ":          "an HTTP request on the cluster port",
		"PRI * HT":          "an HTTP/2 request on the cluster port",
		"SSH-2.0-":          "an SSH client on the cluster port",
		"PROXY TC":          "a PROXY protocol header, which this port does not take, on the cluster port",
		"\r\n\r\n\x00\r\nQ": "a PROXY protocol header, which this port does not take, on the cluster port",
		"GETAWAY":           "unknown protocol on the cluster port",
		"\x00":              "unknown protocol on the cluster port",
		"":                  "unknown protocol on the cluster port",
	} {
		require.Equal(t, want, strangerText([]byte(head)))
	}
}

// Whatever a dialled host answers, reading it ends and gives bounded printable text.
func FuzzRefusal(f *testing.F) {
	f.Add(appendRefusal(nil, "other secret"))
	f.Add([]byte("\x9eSPRC\x0a\x01\xff\xff\xffno"))
	f.Fuzz(func(t *testing.T, b []byte) {
		reason, err := readRefusal(bytes.NewReader(b))
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(reason), maxRefusal)
		require.Equal(t, printable(reason), reason)
	})
}
