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

// A purpose is what a connection is for. The numbers are on the wire of a node without TLS.
type purpose uint8

const (
	forCalls   purpose = 1
	forBulk    purpose = 2
	forGossip  purpose = 3
	forRefusal purpose = 0xff // an answer: this node does not talk to the dialer, and why
)

var alpnNames = map[purpose]string{forCalls: "sessionproc/1", forBulk: "sessionproc-bulk/1", forGossip: "sessionproc-gossip/1"}

func purposeOfALPN(name string) (purpose, bool) {
	for p, n := range alpnNames {
		if n == name {
			return p, true
		}
	}
	return 0, false
}

func purposeOfClass(c transport.Class) purpose {
	if c == transport.Bulk {
		return forBulk
	}
	return forCalls
}

func (p purpose) class() transport.Class {
	if p == forBulk {
		return transport.Bulk
	}
	return transport.Calls
}

// The preface is the first 8 bytes of a connection without TLS: a byte that no text and no TLS record starts with, the
// name, a line end that shows a text-mode proxy in between, the version, and the purpose.
const (
	prefaceMagic   = "\x9eSPRC\x0a"
	prefaceVersion = 1
	prefaceLen     = len(prefaceMagic) + 2
	maxRefusal     = 1024 // bytes of the reason in a refusal
)

func appendPreface(b []byte, p purpose) []byte {
	return append(append(b, prefaceMagic...), prefaceVersion, byte(p))
}

// readPurpose reads the preface behind its first byte.
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

// appendRefusal is the answer that every node understands before it has understood anything else of the other: a
// preface, a length of 2 bytes and the reason. A dialer tells it by its first byte from a TLS record and from a hello.
func appendRefusal(b []byte, reason string) []byte {
	reason = reason[:min(len(reason), maxRefusal)]
	b = appendPreface(b, forRefusal)
	b = binary.BigEndian.AppendUint16(b, uint16(len(reason)))
	return append(b, reason...)
}

// readRefusal reads what appendRefusal wrote. The reason is a stranger's text: it comes back printable and bounded.
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

// printable replaces what could confuse a terminal or a log in a stranger's text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

const (
	tlsAlert     = 0x15 // first byte of a TLS record that says what is wrong
	tlsHandshake = 0x16 // first byte of a ClientHello
)

var knownHeads = []struct{ head, what string }{
	{"GET ", "an HTTP request"}, {"HEAD ", "an HTTP request"}, {"POST ", "an HTTP request"}, {"PUT ", "an HTTP request"},
	{"DELETE ", "an HTTP request"}, {"OPTIONS ", "an HTTP request"}, {"PATCH ", "an HTTP request"}, {"CONNECT ", "an HTTP request"},
	{"TRACE ", "an HTTP request"}, {"PRI * ", "an HTTP/2 request"}, {"SSH-", "an SSH client"},
	{"PROXY ", "a PROXY protocol header, which this port does not take,"},
	{"\r\n\r\n\x00\r\nQ", "a PROXY protocol header, which this port does not take,"},
}

// strangerText names what talks to the port by its first bytes; the texts are few, so that the log can count them.
func strangerText(head []byte) string {
	for _, k := range knownHeads {
		if bytes.HasPrefix(head, []byte(k.head)) {
			return k.what + " on the cluster port"
		}
	}
	return "unknown protocol on the cluster port"
}
