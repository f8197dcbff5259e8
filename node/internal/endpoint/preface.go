package endpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sessionproc/sessionproc/transport"
)

// A purpose says what a connection is for. Nodes without TLS send the number in
// the preface, nodes with TLS the ALPN name.
type purpose uint8

const (
	forCalls   purpose = 1
	forBulk    purpose = 2
	forGossip  purpose = 3
	forStandby purpose = 4
	forRefusal purpose = 0xff // an answer: this node does not talk to the dialer, and the reason follows
)

var alpnNames = map[purpose]string{
	forCalls:   "sessionproc/1",
	forBulk:    "sessionproc-bulk/1",
	forGossip:  "sessionproc-gossip/1",
	forStandby: "sessionproc-standby/1",
}

func purposeOfALPN(name string) (purpose, bool) {
	for p, n := range alpnNames {
		if n == name {
			return p, true
		}
	}
	return 0, false
}

func purposeOfClass(c transport.Class) purpose {
	switch c {
	case transport.Bulk:
		return forBulk
	case transport.Standby:
		return forStandby
	}
	return forCalls
}

func (p purpose) class() transport.Class {
	switch p {
	case forBulk:
		return transport.Bulk
	case forStandby:
		return transport.Standby
	}
	return transport.Calls
}

// The preface is the first 8 bytes of a connection without TLS: a byte that starts no text
// and no TLS record, the name, a line end, the version, and the purpose. A proxy that
// rewrites text changes the line end, so the preface does not match and the fault is seen
// at once (as with the signature of PNG files).
const (
	prefaceMagic   = "\x9eSPRC\x0a"
	prefaceVersion = 1
	prefaceLen     = len(prefaceMagic) + 2
	maxRefusal     = 1024 // bytes of the reason in a refusal
)

func appendPreface(b []byte, p purpose) []byte {
	return append(append(b, prefaceMagic...), prefaceVersion, byte(p))
}

// readPurpose decodes a preface. The caller has checked its first byte.
func readPurpose(head []byte) (purpose, error) {
	if string(head[:len(prefaceMagic)]) != prefaceMagic {
		return 0, fmt.Errorf("not a sessionproc preface (it starts with % x)", head)
	}
	if v := head[len(prefaceMagic)]; v != prefaceVersion {
		return 0, fmt.Errorf("other preface version: this node speaks %d, the dialling node %d", prefaceVersion, v)
	}
	p := purpose(head[len(prefaceMagic)+1])
	if _, ok := alpnNames[p]; !ok && p != forRefusal {
		return 0, fmt.Errorf("unknown kind of connection %d in the preface", p)
	}
	return p, nil
}

// appendRefusal appends a refusal to b: a preface, a length of 2 bytes, and the
// reason. A refusal must be understood by every node before the two nodes have
// agreed on anything. A dialer tells it from a TLS record and from a hello by
// its first byte.
func appendRefusal(b []byte, reason string) []byte {
	reason = reason[:min(len(reason), maxRefusal)]
	b = appendPreface(b, forRefusal)
	b = binary.BigEndian.AppendUint16(b, uint16(len(reason)))
	return append(b, reason...)
}

// readRefusal reads what appendRefusal wrote. The reason is a stranger's text,
// so the result is bounded and printable.
func readRefusal(r io.Reader) (string, error) {
	var head [prefaceLen + 2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	if p, err := readPurpose(head[:prefaceLen]); err != nil {
		return "", err
	} else if p != forRefusal {
		return "", fmt.Errorf("the answer is a preface of kind %d where a refusal was expected", p)
	}
	reason := make([]byte, min(int(binary.BigEndian.Uint16(head[prefaceLen:])), maxRefusal))
	if _, err := io.ReadFull(r, reason); err != nil {
		return "", err
	}
	return printable(string(reason)), nil
}

// printable replaces characters in a stranger's text that could confuse a
// terminal or a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

const (
	tlsAlert     = 0x15 // first byte of a TLS alert record
	tlsHandshake = 0x16 // first byte of a ClientHello
)

// knownHeads are the first bytes of protocols that reach the port by mistake.
var knownHeads = []struct{ head, what string }{
	{"GET ", "an HTTP request"}, {"HEAD ", "an HTTP request"}, {"POST ", "an HTTP request"},
	{"PUT ", "an HTTP request"}, {"DELETE ", "an HTTP request"}, {"OPTIONS ", "an HTTP request"},
	{"PATCH ", "an HTTP request"}, {"CONNECT ", "an HTTP request"},
	{"TRACE ", "an HTTP request"}, {"PRI * ", "an HTTP/2 request"}, {"SSH-", "an SSH client"},
	{"PROXY ", "a PROXY protocol header, which this port does not take,"},
	{"\r\n\r\n\x00\r\nQ", "a PROXY protocol header, which this port does not take,"},
}

// strangerText names the protocol of a stranger by its first bytes. It returns
// one of few texts, so that the log can count them and a stranger cannot choose
// what the log says.
func strangerText(head []byte) string {
	for _, k := range knownHeads {
		if bytes.HasPrefix(head, []byte(k.head)) {
			return k.what + " on the cluster port"
		}
	}
	return "unknown protocol on the cluster port"
}
