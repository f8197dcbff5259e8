package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// This file speaks memberlist's protocol with this node's own memberlist, as another member
// would, where memberlist has no function for what is needed.

// own is the address that messages of this node to itself come from.
type own struct{}

func (own) Network() string { return "own" }
func (own) String() string  { return "this node" }

// packet returns a packet with a message.
func (g *guard) packet(message []byte) ([]byte, error) {
	if keys := g.keys(); len(keys) > 0 {
		sealed, err := seal(keys[0], message, []byte(g.label))
		if err != nil {
			return nil, err
		}
		message = sealed
	}
	return memberlist.AddLabelHeaderToPacket(message, g.label)
}

// tellOwn passes a packet to memberlist.
func (g *guard) tellOwn(packet []byte) error {
	select {
	case g.packets <- &memberlist.Packet{Buf: packet, From: own{}, Timestamp: time.Now()}:
		return nil
	case <-g.done:
		return net.ErrClosed
	}
}

// askOwn asks memberlist for the incarnation of a member. here is false if the member is
// dead, has left, or is unknown. memberlist has no function for that. But it answers a
// push/pull, also one that names no member, with all that it knows.
func (g *guard) askOwn(name string, within time.Duration) (incarnation uint64, here bool, err error) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	select {
	case g.inbound <- theirs:
	case <-g.done:
		return 0, false, errors.Join(net.ErrClosed, theirs.Close())
	}
	_ = ours.SetDeadline(time.Now().Add(within))
	question := wire.AppendMapLen([]byte{typePushPull}, 3)
	for _, field := range []string{"Nodes", "UserStateLen"} {
		question = wire.AppendUint(wire.AppendString(question, field), 0)
	}
	question = wire.AppendBool(wire.AppendString(question, "Join"), false)
	if question, err = g.sealOwn(question); err != nil {
		return 0, false, err
	}
	if _, err := ours.Write(question); err != nil {
		return 0, false, err
	}
	answer, err := readMessage(ours, g.keys())
	if err != nil {
		return 0, false, err
	}
	if answer, err = g.openOwn(answer); err != nil {
		return 0, false, err
	}
	return stateOf(name, answer)
}

// sealOwn makes a message of a stream, with its label.
func (g *guard) sealOwn(message []byte) ([]byte, error) {
	if keys := g.keys(); len(keys) > 0 {
		const overhead = 1 + nonceLen + 16 // version, nonce and tag
		head := binary.BigEndian.AppendUint32([]byte{typeEncrypt}, uint32(len(message)+overhead))
		sealed, err := seal(keys[0], message, append(bytes.Clone(head), g.label...))
		if err != nil {
			return nil, err
		}
		message = append(head, sealed...)
	}
	return append(append([]byte{typeLabel, byte(len(g.label))}, g.label...), message...), nil
}

// openOwn decrypts the answer of a stream, which has no label.
func (g *guard) openOwn(answer []byte) ([]byte, error) {
	keys := g.keys()
	if len(keys) == 0 {
		return answer, nil
	}
	if len(answer) < 5 || answer[0] != typeEncrypt {
		return nil, errors.New("the answer of memberlist is not encrypted")
	}
	plain, ok := decrypt(keys, answer[5:], append(bytes.Clone(answer[:5]), g.label...))
	if !ok {
		return nil, errors.New("the answer of memberlist cannot be decrypted")
	}
	return plain, nil
}

// stateOf returns what a push/pull says of a member; see askOwn.
func stateOf(name string, b []byte) (incarnation uint64, here bool, err error) {
	if len(b) == 0 || b[0] != typePushPull {
		return 0, false, errors.New("the answer of memberlist is no push/pull")
	}
	var c claims
	r := wire.NewReader(b[1:])
	if err := c.readHeader(r.Raw()); err != nil {
		return 0, false, err
	}
	for ; c.records > 0 && r.Err() == nil; c.records-- {
		var node string
		state := int64(-1)
		for n := r.MapLen(); n > 0 && r.Err() == nil; n-- {
			switch key := string(r.Str()); key {
			case "Name":
				node = string(r.Str())
			case "Incarnation":
				incarnation = r.Uint()
			case "State":
				state = integer(r.Raw())
			default:
				r.Skip()
			}
		}
		if node == name && r.Err() == nil {
			return incarnation, state == int64(memberlist.StateAlive) || state == int64(memberlist.StateSuspect), nil
		}
	}
	if err := r.Err(); err != nil {
		return 0, false, fmt.Errorf("the answer of memberlist: %w", err)
	}
	return 0, false, nil
}
