package endpoint

import (
	"crypto/hmac"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/sessionproc/sessionproc/cluster"
)

// exporterLabel names the value that both ends of one TLS connection, and nobody else, can derive from it.
const exporterLabel = "EXPORTER-sessionproc"

// A mismatchError says why this node and another cannot be in one cluster. Its text is for both sides, so it names
// both by address and never says "my" or "your". It is final: asking again will not help.
type mismatchError struct{ text string }

func (e *mismatchError) Error() string { return e.text }

// Refused tells that retrying is of no use.
func (e *mismatchError) Refused() bool { return true }

func Mismatchf(format string, a ...any) error { return &mismatchError{fmt.Sprintf(format, a...)} }

// auth makes and checks the hellos of this node; it is transport.Handshake. A hello proves that its sender has the
// secret and is the end of this very TLS connection: its code covers the connection's exporter, the role (so a code cannot
// be sent back), and slot, boot and address. Safe for concurrent use.
type auth struct {
	self hello             // without a code
	met  func(peer string) // told of each peer
	keys atomic.Pointer[Keys]
}

func newAuth(self hello, ks Keys, met func(peer string)) *auth {
	a := &auth{self: self, met: met}
	a.keys.Store(&ks)
	return a
}

// provenance is which secrets the two ends of a connection have proved that they have;
// 0: none yet. It is part of the connection.
type provenance struct{ own, peer uint32 }

func (p *provenance) proof() *provenance { return p }

type proven interface{ proof() *provenance }

// Proved returns the secrets that the two sides of a connection have proved; ok is false
// if it is none of an endpoint. They are 0 until then.
func Proved(conn net.Conn) (own, peer uint32, ok bool) {
	c, ok := conn.(proven)
	if !ok {
		return 0, 0, false
	}
	return c.proof().own, c.proof().peer, true
}

// outdated reports whether a connection is to be replaced: its peer has proved a secret
// that is not accepted any more, or this node, which dialled, one that it does not use.
func (a *auth) outdated(conn net.Conn) bool {
	own, peer, ok := Proved(conn)
	if !ok {
		return false
	}
	ks := a.keys.Load()
	_, dialled := conn.(*dialledTLS)
	return !ks.Accepts(peer) || dialled && own != ks.list[0].id
}

// Hello is this node's, for one connection.
func (a *auth) Hello(conn net.Conn, dialer bool) ([]byte, error) {
	h := a.self
	if ks := a.keys.Load(); !ks.none() {
		if err := a.prove(&h, ks, conn, dialer); err != nil {
			return nil, err
		}
	}
	return h.append(nil), nil
}

// prove puts the proofs of secrets into a hello. Who dials proves that it has the others
// too, as the other side may not accept the one in use yet; who accepts proves the one
// that the dialer has proved.
func (a *auth) prove(h *hello, ks *Keys, conn net.Conn, dialer bool) error {
	k := ks.list[0]
	c, counts := conn.(proven)
	if !dialer && counts {
		if same, ok := ks.find(c.proof().peer); ok {
			k = same
		}
	}
	code, err := a.code(k, conn, dialer, h)
	if err != nil {
		return err
	}
	h.keyed, h.keyID, h.code = true, k.id, code
	if counts {
		c.proof().own = k.id
	}
	if !dialer {
		return nil
	}
	for _, other := range ks.list[1:min(len(ks.list), 1+maxOtherCodes)] {
		code, err := a.code(other, conn, dialer, h)
		if err != nil {
			return err
		}
		h.others = append(h.others, keyCode{other.id, code})
	}
	return nil
}

// code is HMAC-SHA256 over role, exporter, slot, boot and address of the hello h that the dialling or the accepting side says.
func (a *auth) code(k secretKey, conn net.Conn, byDialer bool, h *hello) ([]byte, error) {
	secured, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil, errors.New("a secret, and no TLS on the connection") // a bug of ours
	}
	state := secured.ConnectionState()
	exporter, err := state.ExportKeyingMaterial(exporterLabel, nil, 32)
	if err != nil {
		return nil, fmt.Errorf("TLS exporter: %w", err)
	}
	role := "acceptor"
	if byDialer {
		role = "dialer"
	}
	boot := binary.BigEndian.AppendUint64(nil, uint64(h.boot))
	return k.sign([]byte(role), exporter, []byte(h.slot), boot, []byte(h.addr)), nil
}

// Check decides whether the peer on conn, whose hello b is, may be one; dialer tells which side this node is. Nothing that
// only members may know is in its errors before the peer has proved that it has the secret.
func (a *auth) Check(conn net.Conn, dialer bool, b []byte) (peer string, err error) {
	h, err := readHello(b)
	if err != nil {
		return "", &mismatchError{err.Error()}
	}
	proved, err := a.checkSecret(conn, !dialer, h)
	if err != nil {
		return "", err
	}
	if err := a.checkSettings(h); err != nil {
		return "", err
	}
	if c, ok := conn.(proven); ok {
		c.proof().peer = proved
	}
	if c, ok := conn.(interface{ authenticated() }); ok {
		c.authenticated()
	}
	peer = cluster.Member{Slot: h.slot, Boot: h.boot}.Name()
	a.met(peer)
	return peer, nil
}

// checkSecret verifies the code of a hello said by the dialling or the accepting side. The key is derived for the cluster that the peer names:
// a peer with this secret and another cluster's name has proved itself, and is told the names.
// It returns the public name of the secret that was proved.
func (a *auth) checkSecret(conn net.Conn, byDialer bool, h *hello) (proved uint32, err error) {
	me, it := a.self.addr, printable(h.addr[:min(len(h.addr), 64)])
	ks := a.keys.Load()
	switch {
	case ks.none() && !h.keyed:
		return 0, nil
	case ks.none():
		return 0, Mismatchf("the node at %s has a secret, the node at %s has none (Config.Secret)", it, me)
	case !h.keyed:
		return 0, Mismatchf("the node at %s has a secret, the node at %s has none (Config.Secret)", me, it)
	}
	known := false
	for _, c := range append([]keyCode{{h.keyID, h.code}}, h.others...) {
		k, ok := ks.find(c.id)
		if !ok {
			continue
		}
		known = true
		if h.cluster != a.self.cluster {
			k = newSecretKey(k.secret, h.cluster)
		}
		want, err := a.code(k, conn, byDialer, h)
		if err != nil {
			return 0, err
		}
		if hmac.Equal(want, c.code) {
			return k.id, nil
		}
	}
	if !known {
		return 0, Mismatchf("other secret: the node at %s accepts key %s, the node at %s uses key %s",
			me, ks, it, KeyName(h.keyID))
	}
	return 0, Mismatchf("the node at %s did not prove that it has the secret of key %s: its code does not belong to this connection",
		it, KeyName(h.keyID))
}

// checkSettings compares what must be equal in a cluster.
func (a *auth) checkSettings(h *hello) error {
	me, it := a.self.addr, printable(h.addr[:min(len(h.addr), 64)])
	switch s := &a.self; {
	case h.cluster != s.cluster:
		return Mismatchf("other cluster: the node at %s is in %q, the node at %s in %q (Config.Cluster)",
			me, s.cluster, it, printable(h.cluster[:min(len(h.cluster), maxName)]))
	case h.wire[0] > s.wire[1] || h.wire[1] < s.wire[0]:
		return Mismatchf("other wire version: the node at %s speaks %d to %d, the node at %s %d to %d",
			me, s.wire[0], s.wire[1], it, h.wire[0], h.wire[1])
	case h.fingerprint != s.fingerprint:
		return Mismatchf("other ring: the node at %s has %s [%016x], the node at %s %s [%016x] (Config.Ring)",
			me, s.ring, s.fingerprint, it, printable(h.ring[:min(len(h.ring), maxRingText)]), h.fingerprint)
	}
	if err := h.valid(); err != nil {
		return Mismatchf("the node at %s says nonsense of itself: %v", it, err)
	}
	return nil
}
