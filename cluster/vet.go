package cluster

import (
	"bytes"
	"compress/lzw"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// memberlist allocates memory by what a message claims: for up to a million members in a
// message of a few bytes, and up to 40 MiB for a compressed one. So each message is read and
// vetted before memberlist gets it: everything that it claims must be there, also inside of a
// compressed message. (Members of this project never compress.)
const (
	maxStream = 4 << 20 // bytes of a message in a stream: the records of 10,000 members
	maxPacket = 8 << 10 // bytes; memberlist sends 1,400
	minRecord = 20      // bytes of a member's record in a push/pull
	maxRecord = 8 << 10 // the most bytes of a record, and of another value in a message

	maxCompressed = 256 << 10 // bytes of a compressed message in a stream
	maxPlain      = 64 << 10  // bytes of a packet before it was compressed
)

// Types of memberlist's messages.
const (
	typePing     = 0
	typeAck      = 2
	typeSuspect  = 3
	typePushPull = 6
	typeCompound = 7
	typeCompress = 9
	typeEncrypt  = 10
	typeCRC      = 12
	typeError    = 13
	typeLabel    = 244
)

// claims walks through a message of a stream, as far as it has arrived, and
// remembers what must still come.
type claims struct {
	at      int   // the offset up to which the message is checked
	begun   bool  // the type is read
	header  bool  // the header of a push/pull comes next
	records int64 // values that must still come
	members bool  // the values are records of members
	user    int64 // bytes that must come after the values

	compressed bool // the one value that must come is a compressed message
}

var errClaims = errors.New("the message claims more than it contains")

// walk continues with b, which has all bytes from the type on. done reports
// whether the message is complete.
func (c *claims) walk(b []byte) (done bool, err error) {
	if !c.begun {
		if len(b) == 0 {
			return false, nil
		}
		if err := c.begin(b[0]); err != nil {
			return false, err
		}
	}
	for c.header || c.records > 0 {
		r := wire.NewReader(b[c.at:])
		raw := r.Raw()
		if r.Err() != nil {
			if most := c.most(); len(b)-c.at > most {
				return false, r.Err()
			}
			return false, nil // the rest has not arrived yet
		}
		if c.compressed {
			return true, vetCompressed(raw, maxStream, vetWhole)
		}
		if c.at += len(raw); c.header {
			if err := c.readHeader(raw); err != nil {
				return false, err
			}
			continue
		}
		if c.members && len(raw) < minRecord || len(raw) > maxRecord {
			return false, fmt.Errorf("a record of %d bytes", len(raw))
		}
		c.records--
	}
	return int64(len(b)-c.at) >= c.user, nil
}

// most returns how many bytes the next value may have.
func (c *claims) most() int {
	if c.compressed {
		return maxCompressed
	}
	return maxRecord
}

// begin handles the type of a message.
func (c *claims) begin(kind byte) error {
	c.begun, c.at = true, 1
	switch kind {
	case typePing, typeAck, typeError:
		c.records = 1
	case typePushPull:
		c.header, c.members = true, true
	case typeCompress:
		c.records, c.compressed = 1, true
	default:
		return fmt.Errorf("a message of type %d", kind)
	}
	return nil
}

// vetWhole vets a message that has arrived completely.
func vetWhole(b []byte) error {
	if len(b) > 0 && b[0] == typeCompress {
		return errors.New("a compressed message inside of another")
	}
	var c claims
	done, err := c.walk(b)
	if err == nil && !done {
		err = errClaims
	}
	return err
}

// vetCompressed decompresses the value of a compressed message, up to most
// bytes, and vets the result.
func vetCompressed(raw []byte, most int64, vet func([]byte) error) error {
	r := wire.NewReader(raw)
	var buf []byte
	for n := r.MapLen(); n > 0 && r.Err() == nil; n-- {
		if key := string(r.Str()); key == "Buf" {
			buf = anyBytes(&r)
		} else {
			r.Skip()
		}
	}
	if r.Err() != nil {
		return r.Err()
	}
	plain, err := io.ReadAll(io.LimitReader(lzw.NewReader(bytes.NewReader(buf), lzw.LSB, 8), most+1))
	if int64(len(plain)) > most {
		return fmt.Errorf("more than %d bytes were compressed", most)
	}
	if err != nil {
		return err
	}
	return vet(plain)
}

// anyBytes reads binary data. memberlist encodes it as a string or as bytes.
func anyBytes(r *wire.Reader) []byte {
	if b := r.Rest(); len(b) > 0 && b[0] >= 0xc4 && b[0] <= 0xc6 {
		return r.Bytes()
	}
	return r.Str()
}

// readHeader reads how many records and bytes a push/pull claims.
func (c *claims) readHeader(raw []byte) error {
	c.header = false
	r := wire.NewReader(raw)
	for n := r.MapLen(); n > 0; n-- {
		key := string(r.Str())
		switch value := r.Raw(); key {
		case "Nodes":
			c.records = integer(value)
		case "UserStateLen":
			c.user = integer(value)
		}
	}
	if r.Err() != nil {
		return r.Err()
	}
	if c.records < 0 || c.user < 0 || c.records > maxStream/minRecord || c.user > maxStream {
		return errClaims
	}
	return nil
}

// integer decodes an integer. It returns -1 if b is none, or is too large.
func integer(b []byte) int64 {
	switch {
	case len(b) == 1 && b[0] < 0x80:
		return int64(b[0])
	case len(b) == 2 && (b[0] == 0xcc || b[0] == 0xd0 && b[1] < 0x80):
		return int64(b[1])
	case len(b) == 3 && (b[0] == 0xcd || b[0] == 0xd1 && b[1] < 0x80):
		return int64(binary.BigEndian.Uint16(b[1:]))
	case len(b) == 5 && (b[0] == 0xce || b[0] == 0xd2 && b[1] < 0x80):
		return int64(binary.BigEndian.Uint32(b[1:]))
	case len(b) == 9 && (b[0] == 0xcf || b[0] == 0xd3):
		if v := binary.BigEndian.Uint64(b[1:]); v <= maxStream {
			return int64(v)
		}
	}
	return -1
}

// readMessage reads one message of a stream and vets it. keys are the keys that
// it may be encrypted with. Without keys it is not encrypted.
func readMessage(conn io.Reader, keys [][]byte) ([]byte, error) {
	var all bytes.Buffer
	more := func(n int64) error {
		_, err := io.CopyN(&all, conn, n)
		return err
	}
	if err := more(1); err != nil {
		return nil, err
	}
	label := 0 // length of the label header in bytes
	if all.Bytes()[0] == typeLabel {
		if err := more(1); err != nil {
			return nil, err
		}
		label = 2 + int(all.Bytes()[1])
		if err := more(int64(label - 2 + 1)); err != nil {
			return nil, err
		}
	}
	if all.Bytes()[label] != typeEncrypt {
		if len(keys) > 0 {
			return all.Bytes(), nil // memberlist refuses it by its type
		}
		return readClear(conn, &all, label)
	}
	if err := more(4); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(all.Bytes()[label+1:])
	if size > maxStream {
		return nil, errClaims
	}
	if err := more(int64(size)); err != nil {
		return nil, err
	}
	return all.Bytes(), vetEncrypted(all.Bytes()[label:], all.Bytes()[:label], keys)
}

// readClear reads an unencrypted message until it is complete.
func readClear(conn io.Reader, all *bytes.Buffer, label int) ([]byte, error) {
	var c claims
	chunk := make([]byte, 4<<10)
	for {
		done, err := c.walk(all.Bytes()[label:])
		if done || err != nil {
			return all.Bytes(), err
		}
		if all.Len() > maxStream {
			return nil, errClaims
		}
		n, err := conn.Read(chunk)
		all.Write(chunk[:n])
		if err != nil {
			return nil, err
		}
	}
}

// vetEncrypted vets an encrypted message, from its type on. It passes a message
// that it cannot decrypt, since memberlist refuses it.
func vetEncrypted(b, label []byte, keys [][]byte) error {
	name := label
	if len(label) > 2 {
		name = label[2:]
	}
	plain, ok := decrypt(keys, b[5:], append(bytes.Clone(b[:5]), name...))
	if !ok {
		return nil
	}
	if len(plain) > 0 && plain[0] == typeCompress {
		return vetCompressed(plain[1:], maxStream, vetWhole)
	}
	return vetWhole(plain)
}

// decrypt opens what memberlist has encrypted. It does not support version 0,
// which no member of this project uses.
func decrypt(keys [][]byte, b, data []byte) (plain []byte, ok bool) {
	const nonce = 12
	if len(b) < 1+nonce || b[0] != 1 {
		return nil, false
	}
	for _, key := range keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			continue
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			continue
		}
		if plain, err := gcm.Open(nil, b[1:1+nonce], b[1+nonce:], data); err == nil {
			return plain, true
		}
	}
	return nil, false
}

// vetPacket refuses packets that are too long, or would be after decompression.
func vetPacket(packet []byte, keys [][]byte) error {
	if len(packet) > maxPacket {
		return fmt.Errorf("a packet of %d bytes", len(packet))
	}
	b, label, err := memberlist.RemoveLabelHeaderFromPacket(packet)
	if err != nil {
		return nil // memberlist refuses it
	}
	if len(keys) > 0 {
		if len(b) > 0 && b[0] != 1 {
			return fmt.Errorf("encryption of version %d", b[0])
		}
		plain, ok := decrypt(keys, b, []byte(label))
		if !ok {
			return nil // memberlist refuses it
		}
		b = plain
	}
	if len(b) > 5 && b[0] == typeCRC {
		b = b[5:]
	}
	return vetPlain(b, true)
}

// vetPlain vets the content of a packet. compressed says whether it may be
// compressed.
func vetPlain(b []byte, compressed bool) error {
	if len(b) > 1 && b[0] == typeCompound {
		parts := int(b[1])
		at := 2 + 2*parts
		for i := range parts {
			if at >= len(b) {
				return nil // truncated: memberlist refuses it
			}
			if t := b[at]; t == typeCompress || t == typeCompound {
				return fmt.Errorf("a message of type %d in another", t)
			}
			at += int(binary.BigEndian.Uint16(b[2+2*i:]))
		}
		return nil
	}
	switch {
	case len(b) == 0 || b[0] != typeCompress:
		return nil
	case !compressed:
		return errors.New("a compressed message inside of another")
	}
	return vetCompressed(b[1:], maxPlain, func(b []byte) error { return vetPlain(b, false) })
}
