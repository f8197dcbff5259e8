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

// exporterLabel names the keying material (RFC 8446, section 7.5) that hellos
// are bound to. Only the two ends of one TLS connection can derive the value.
const exporterLabel = "EXPORTER-sessionproc"

// A mismatchError says why two nodes cannot be in one cluster. Both sides log
// or return its text, so the text names the nodes by address and never says
// "my" or "your". The error is final: a retry fails in the same way until a
// configuration changes.
type mismatchError struct{ text string }

func (e *mismatchError) Error() string { return e.text }

// Refused tells package transport that a retry is of no use.
func (e *mismatchError) Refused() bool { return true }

// Mismatchf returns an error that says that two nodes cannot be in one cluster.
// The transport does not retry after such an error.
func Mismatchf(format string, a ...any) error { return &mismatchError{fmt.Sprintf(format, a...)} }

// auth makes and checks the hellos of this node. It implements
// transport.Handshake. auth is safe for concurrent use.
//
// A hello proves two things: its sender has the secret, and its sender is the
// end of this very TLS connection. The second one matters because nobody
// verifies the certificates of nodes with a secret (see ephemeralTLS). An
// attacker between two nodes terminates two TLS connections, and these have
// different exporters, so a code that is relayed from one of them does not fit
// the other. The code also covers the role of its sender, so it cannot be sent
// back to where it came from, and slot, boot and address, so that no member can
// claim to be another one over a connection that it only relays.
type auth struct {
	self hello                // this node's hello, without a code
	met  func(peer string)    // called with the name of each peer that passed Check
	keys atomic.Pointer[Keys] // replaced as a whole when secrets are rotated
}

func newAuth(self hello, ks Keys, met func(peer string)) *auth {
	a := &auth{self: self, met: met}
	a.keys.Store(&ks)
	return a
}

// proven is implemented by the connections of an endpoint that have TLS.
type proven interface{ proof() *provenance }

// Proved returns the public names of the secrets that the two sides of conn
// have proved. They are 0 before the proof. ok is false if conn is not a TLS
// connection of an endpoint.
func Proved(conn net.Conn) (own, peer uint32, ok bool) {
	c, ok := conn.(proven)
	if !ok {
		return 0, 0, false
	}
	return c.proof().own, c.proof().peer, true
}

// outdated reports whether conn must be replaced after a change of secrets.
// That is so if this node no longer accepts the secret that the peer proved, or
// if this node dialled conn with a secret that it no longer uses. The second
// reason is the dialer's alone: the acceptor proves whichever secret the dialer
// has proved.
func (a *auth) outdated(conn net.Conn) bool {
	own, peer, ok := Proved(conn)
	if !ok {
		return false
	}
	ks := a.keys.Load()
	_, dialled := conn.(*dialledTLS)
	return !ks.Accepts(peer) || dialled && own != ks.list[0].id
}

// Hello returns the hello of this node for one connection.
func (a *auth) Hello(conn net.Conn, dialer bool) ([]byte, error) {
	h := a.self
	if ks := a.keys.Load(); !ks.none() {
		if err := a.prove(&h, ks, conn, dialer); err != nil {
			return nil, err
		}
	}
	return h.append(nil), nil
}

// prove adds the proofs of secrets to h.
//
// During a rotation two nodes may use different secrets, each of which both
// accept. The dialer speaks first and does not know what the other side
// accepts, so it proves each secret that it has, up to maxOtherCodes beyond the
// one in use. The acceptor has read the dialer's hello and answers with the
// secret that the dialer proved, which the dialer accepts for certain.
func (a *auth) prove(h *hello, ks *Keys, conn net.Conn, dialer bool) error {
	k := ks.list[0]
	c, tracked := conn.(proven)
	if !dialer && tracked {
		if same, ok := ks.find(c.proof().peer); ok {
			k = same
		}
	}
	code, err := a.code(k, conn, dialer, h)
	if err != nil {
		return err
	}
	h.keyed, h.keyID, h.code = true, k.id, code
	if tracked {
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

// code returns the HMAC-SHA256 over the sender's role, the connection's
// exporter, and the slot, boot and address of h. byDialer says whether the
// dialling or the accepting side sends h.
func (a *auth) code(k secretKey, conn net.Conn, byDialer bool, h *hello) ([]byte, error) {
	secured, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil, errors.New("secret without TLS on the connection") // a bug: a secret turns TLS on
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

// Check decides whether the peer that sent hello b over conn may be a member.
// dialer says whether this node dialled conn. The secret is checked before the
// settings, and until the peer has proved the secret no error contains anything
// that only members may know: the peer may be a stranger, and it reads the
// error.
//
// A peer that passes leaves the strangers (see strangers.leave), and proved
// secrets are recorded on the connection.
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

// checkSecret verifies the proofs in h and returns the public name of the
// secret that was proved. byDialer says whether the dialling or the accepting
// side sent h.
//
// The key is derived for the cluster that the peer names, not for this node's
// own. So a peer with the right secret and another Config.Cluster proves
// itself, and then learns from checkSettings that the names differ. With this
// node's own key the same mistake would look like another secret.
func (a *auth) checkSecret(conn net.Conn, byDialer bool, h *hello) (proved uint32, err error) {
	self, peer := a.self.addr, peerAddr(h)
	ks := a.keys.Load()
	switch {
	case ks.none() && !h.keyed:
		return 0, nil
	case ks.none():
		return 0, Mismatchf("the node at %s has a secret, the node at %s has none (Config.Secret)", peer, self)
	case !h.keyed:
		return 0, Mismatchf("the node at %s has a secret, the node at %s has none (Config.Secret)", self, peer)
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
		return 0, Mismatchf("other secret: the node at %s accepts key %s, the node at %s uses key %s (Config.Secret)",
			self, ks, peer, KeyName(h.keyID))
	}
	return 0, Mismatchf("the node at %s did not prove that it has the secret of key %s: "+
		"its code does not belong to this connection", peer, KeyName(h.keyID))
}

// peerAddr returns the address in h for use in an error. h is not validated yet, so the
// text is cut and made printable.
func peerAddr(h *hello) string { return printable(h.addr[:min(len(h.addr), 64)]) }

// checkSettings compares the settings that must be equal in a cluster: its
// name, the ring, and an overlap of the wire versions.
func (a *auth) checkSettings(h *hello) error {
	self, peer := a.self.addr, peerAddr(h)
	switch s := &a.self; {
	case h.cluster != s.cluster:
		return Mismatchf("other cluster: the node at %s is in %q, the node at %s in %q (Config.Cluster)",
			self, s.cluster, peer, printable(h.cluster[:min(len(h.cluster), maxName)]))
	case h.wire[0] > s.wire[1] || h.wire[1] < s.wire[0]:
		return Mismatchf("other wire version: the node at %s speaks %d to %d, the node at %s %d to %d",
			self, s.wire[0], s.wire[1], peer, h.wire[0], h.wire[1])
	case h.fingerprint != s.fingerprint:
		return Mismatchf("other ring: the node at %s has %s [%016x], the node at %s %s [%016x] (Config.Ring)",
			self, s.ring, s.fingerprint, peer, printable(h.ring[:min(len(h.ring), maxRingText)]), h.fingerprint)
	}
	if err := h.valid(); err != nil {
		return Mismatchf("invalid hello from %s: %v", peer, err)
	}
	return nil
}
