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

// maxHello is how many bytes a peer may send before it is accepted, in each
// frame of the handshake, with its length.
const maxHello = 4 << 10

// maxReason is how many bytes of a reason for refusal are sent and kept.
const maxReason = 512

// Handshake makes and checks hellos; the transport only carries them. The
// dialling side speaks first: its hello, then the accepting side's, then its
// word that it accepts that one. Nothing else is read or written before both
// are verified. Both methods run on the connection's own goroutine, and the
// connection's deadline bounds what they do with conn.
type Handshake interface {
	// Hello returns this side's hello, at most 4,000 bytes. dialer says which side this is.
	Hello(conn net.Conn, dialer bool) ([]byte, error)
	// Check verifies the other side's hello and returns an opaque name for it.
	// The text of an error goes to the other side as the reason of refusal.
	// hello is valid only during the call.
	Check(conn net.Conn, dialer bool, hello []byte) (peer string, err error)
}

// Shake exchanges hellos over conn within timeout and returns the peer's name.
// It reads no byte beyond the handshake, so conn may carry anything
// afterwards. A refusal by the peer comes back as *RefusedError, this side's
// own as an error with Refused() == true that wraps Check's; Shake never closes conn.
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

func shakeFirst(conn net.Conn, h Handshake) (peer string, err error) {
	if err := sendHello(conn, h, true); err != nil {
		return "", err
	}
	if peer, err = checkHello(conn, h, true); err != nil {
		return "", err
	}
	return peer, sendShake(conn, appendEmpty(nil, kindReady, 0))
}

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

// checkHello reads the other side's hello and, if it is not accepted, tells so.
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

// readShake reads one frame of the handshake, which must be of kind want, and
// returns a hello's data. A refusal becomes a *RefusedError.
func readShake(conn net.Conn, want uint64) (hello []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, fmt.Errorf("transport: handshake: read: %w", err)
	}
	size := binary.BigEndian.Uint32(head[:])
	most := uint32(maxHello - 4)
	if want == kindReady {
		most = maxReason + headerRoom // or the reason why not
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
