package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// maxHello is the largest frame of the handshake in bytes, including its
// length: a peer that is not accepted can make this side allocate no more.
const maxHello = 4 << 10

// maxReason bounds the bytes of a reason for refusal, sent and received.
const maxReason = 512

// A Handshake makes and checks hellos. The transport only carries them. The
// dialling side sends its hello, then the accepting side its own, and then the
// dialling side a ready frame, which says that it accepts the other's hello.
// Nothing else is read or written before both hellos are verified.
//
// Both methods run on the connection's own goroutine, and the connection's
// deadline bounds what they do with conn.
type Handshake interface {
	// Hello returns this side's hello, at most 4,000 bytes. dialer says whether
	// this side dialled.
	Hello(conn net.Conn, dialer bool) ([]byte, error)
	// Check verifies the other side's hello and returns an opaque name for it.
	// The text of an error goes to the other side as the reason of refusal.
	// hello is valid only during the call.
	Check(conn net.Conn, dialer bool, hello []byte) (peer string, err error)
}

// Shake exchanges hellos over conn within timeout and returns the peer's name.
// It reads no byte beyond the handshake, so conn may carry any protocol
// afterwards. A refusal by the peer is a *RefusedError. A refusal by this side
// is an error whose method Refused returns true and that wraps the error of
// Check. Shake never closes conn.
func Shake(conn net.Conn, h Handshake, dialer bool, timeout time.Duration) (peer string, err error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", fmt.Errorf("transport: handshake: %w", err)
	}
	if dialer {
		peer, err = shakeFirst(conn, h)
	} else {
		peer, err = shakeSecond(conn, h)
	}
	if err != nil {
		return "", err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return "", fmt.Errorf("transport: handshake: %w", err)
	}
	return peer, nil
}

// shakeFirst is the dialler's side.
func shakeFirst(conn net.Conn, h Handshake) (peer string, err error) {
	if err := sendHello(conn, h, true); err != nil {
		return "", err
	}
	if peer, err = checkHello(conn, h, true); err != nil {
		return "", err
	}
	return peer, sendShake(conn, appendEmpty(nil, kindReady, 0))
}

// shakeSecond is the acceptor's side. It waits for ready, so that a connection does not count
// as authenticated before the dialler has accepted it too.
func shakeSecond(conn net.Conn, h Handshake) (peer string, err error) {
	if peer, err = checkHello(conn, h, false); err != nil {
		return "", err
	}
	if err := sendHello(conn, h, false); err != nil {
		return "", err
	}
	_, err = readShake(conn, kindReady)
	return peer, err
}

func sendHello(conn net.Conn, h Handshake, dialer bool) error {
	hello, err := h.Hello(conn, dialer)
	if err != nil {
		return fmt.Errorf("transport: handshake: hello: %w", err)
	}
	b := endFrame(wire.AppendBytes(beginFrame(nil, kindHello, 0, 1), hello), 0)
	if len(b) > maxHello {
		return fmt.Errorf("transport: handshake: hello of %d bytes exceeds %d", len(b), maxHello)
	}
	return sendShake(conn, b)
}

// checkHello reads and checks the other side's hello. If the hello is not
// accepted, checkHello sends the reason.
func checkHello(conn net.Conn, h Handshake, dialer bool) (peer string, err error) {
	hello, err := readShake(conn, kindHello)
	if err != nil {
		return "", err
	}
	peer, err = h.Check(conn, dialer, hello)
	if err == nil {
		return peer, nil
	}
	reason := err.Error()
	b := wire.AppendString(beginFrame(nil, kindRefuse, 0, 1), reason[:min(len(reason), maxReason)])
	if sent := sendShake(conn, endFrame(b, 0)); sent != nil {
		err = errors.Join(err, sent)
	}
	return "", &checkError{err}
}

func sendShake(conn net.Conn, b []byte) error {
	if _, err := conn.Write(b); err != nil {
		return fmt.Errorf("transport: handshake: write: %w", err)
	}
	return nil
}

// readShake reads one frame of the handshake, which must be of kind want. It
// returns the data of a hello. A refusal becomes a *RefusedError.
func readShake(conn net.Conn, want uint64) (hello []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, fmt.Errorf("transport: handshake: read: %w", err)
	}
	size := binary.BigEndian.Uint32(head[:])
	most := uint32(maxHello - 4)
	if want == kindReady {
		most = maxReason + headerRoom // or a refusal with its reason
	}
	if size > most {
		return nil, errors.New("transport: handshake: not this protocol, or a hello beyond 4 KiB")
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, fmt.Errorf("transport: handshake: read: %w", err)
	}
	var f frame
	if err := f.parse(body); err != nil {
		return nil, fmt.Errorf("transport: handshake: %w", err)
	}
	var reason []byte
	known := 0
	switch f.kind {
	case kindHello:
		hello, known = f.r.Bytes(), 1
	case kindRefuse:
		reason, known = f.r.Str(), 1
	}
	if err := f.endPlain(known); err != nil {
		return nil, fmt.Errorf("transport: handshake: %w", err)
	}
	switch f.kind {
	case want:
		return hello, nil
	case kindRefuse:
		return nil, &RefusedError{Reason: string(reason[:min(len(reason), maxReason)])}
	}
	return nil, fmt.Errorf("transport: handshake: frame of kind %d where %d was due", f.kind, want)
}
