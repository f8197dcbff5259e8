package endpoint

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	secretPrefix   = "sps1_" // the version of the format
	secretBytes    = 32      // random bytes of a secret
	secretChecksum = 4       // bytes of the checksum that follows
	secretLen      = len(secretPrefix) + (secretBytes+secretChecksum)*4/3

	// newSecretCommand prints a secret; every error about a secret ends with it.
	newSecretCommand = "go run github.com/sessionproc/sessionproc/node/newsecret"
)

// NewSecret implements node.NewSecret.
func NewSecret() string {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // never returns an error: a system without randomness ends the process
	sum := checksumOf(b[:])
	return secretPrefix + base64.RawURLEncoding.EncodeToString(append(b[:], sum[:]...))
}

// checksumOf returns the checksum of a secret. It detects a slip in copying; it
// is not a means of security.
func checksumOf(secret []byte) [secretChecksum]byte {
	h := sha256.New()
	h.Write([]byte("sessionproc secret checksum"))
	h.Write(secret)
	return [secretChecksum]byte(h.Sum(nil))
}

// parseSecret returns the 32 bytes of a secret that NewSecret made. It ignores
// white space around the text, since files and environment variables often end
// in a newline. Its errors never contain any part of the text: errors are
// logged.
func parseSecret(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	body, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, errors.New("not a secret that NewSecret made, and a pass phrase could be guessed from one recorded " +
			"packet; " +
			"make a real one with: " + newSecretCommand)
	}
	if len(text) != secretLen {
		return nil, fmt.Errorf("damaged: it has %d characters where a secret has %d; make a new one with: %s",
			len(text), secretLen, newSecretCommand)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(b) != secretBytes+secretChecksum {
		return nil, errors.New("damaged: it has characters that no secret has; make a new one with: " + newSecretCommand)
	}
	sum := checksumOf(b[:secretBytes])
	if subtle.ConstantTimeCompare(sum[:], b[secretBytes:]) != 1 {
		return nil, errors.New("damaged: its checksum does not match, so a character was changed when it was copied; " +
			"make a new one with: " + newSecretCommand)
	}
	return b[:secretBytes], nil
}

// A secretKey holds the keys that are derived from one secret for one cluster.
// Each use has a key of its own, so that what one protocol reveals does not
// weaken another.
type secretKey struct {
	id     uint32 // public name of the secret in hellos, gossip meta and errors
	gossip []byte // AES-256-GCM, for memberlist
	auth   []byte // HMAC-SHA256, for hellos and knocks
	secret []byte // to derive the key for another cluster's name; see checkSecret
}

func newSecretKey(secret []byte, cluster string) secretKey {
	return secretKey{
		id:     binary.BigEndian.Uint32(deriveKey(secret, "key id", "", 4)),
		gossip: deriveKey(secret, "gossip", cluster, 32),
		auth:   deriveKey(secret, "auth", cluster, 32),
		secret: secret,
	}
}

// deriveKey derives a key by HKDF-SHA256. Each use has its own label. No label
// holds a zero byte, so two different pairs of label and cluster never have the
// same info.
func deriveKey(secret []byte, label, cluster string, size int) []byte {
	k, err := hkdf.Key(sha256.New, secret, nil, "sessionproc/1 "+label+"\x00"+cluster, size)
	if err != nil {
		panic("node: HKDF of " + label + ": " + err.Error()) // cannot happen: sizes up to 8160 bytes are valid
	}
	return k
}

// sign returns the HMAC-SHA256 over parts. The length precedes each part, so
// that two different lists of parts never sign the same bytes.
func (k secretKey) sign(parts ...[]byte) []byte {
	h := hmac.New(sha256.New, k.auth)
	var n [4]byte
	for _, p := range parts {
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return h.Sum(nil)
}

// Keys are the secrets of a node. The node uses the first one and accepts all of them. The
// zero Keys means that the node has no secret. Keys are immutable.
type Keys struct{ list []secretKey }

// NewKeys derives the keys of Config.Secret and Config.AcceptSecrets. A secret may occur in
// both, and more than once.
func NewKeys(cluster, secret string, accept []string) (Keys, error) {
	if secret == "" {
		if len(accept) > 0 {
			return Keys{}, errors.New("Config.AcceptSecrets is set and Config.Secret is not: " +
				"set Config.Secret to the secret that this node should use")
		}
		return Keys{}, nil
	}
	var ks Keys
	seen := make(map[[secretBytes]byte]bool)
	for i, text := range append([]string{secret}, accept...) {
		b, err := parseSecret(text)
		if err != nil {
			field := "Config.Secret"
			if i > 0 {
				field = fmt.Sprintf("Config.AcceptSecrets[%d]", i-1)
			}
			return Keys{}, fmt.Errorf("%s: %w", field, err)
		}
		if seen[[secretBytes]byte(b)] {
			continue
		}
		seen[[secretBytes]byte(b)] = true
		ks.list = append(ks.list, newSecretKey(b, cluster))
	}
	return ks, nil
}

// Accepts reports whether ks contains the secret with public name id.
func (ks Keys) Accepts(id uint32) bool { return slices.Contains(ks.IDs(), id) }

// find returns the keys of the secret with public name id.
func (ks Keys) find(id uint32) (k secretKey, ok bool) {
	for _, k := range ks.list {
		if k.id == id {
			return k, true
		}
	}
	return secretKey{}, false
}

// none reports whether the node has no secret.
func (ks Keys) none() bool { return len(ks.list) == 0 }

// IDs returns the public names of the secrets, the one in use first.
func (ks Keys) IDs() []uint32 {
	ids := make([]uint32, len(ks.list))
	for i, k := range ks.list {
		ids[i] = k.id
	}
	return ids
}

// GossipKeys returns the keys for memberlist, the one in use first.
func (ks Keys) GossipKeys() [][]byte {
	gossip := make([][]byte, len(ks.list))
	for i, k := range ks.list {
		gossip[i] = k.gossip
	}
	return gossip
}

// String returns the public names of the secrets. The result is safe to log.
func (ks Keys) String() string {
	names := make([]string, len(ks.list))
	for i, k := range ks.list {
		names[i] = KeyName(k.id)
	}
	return strings.Join(names, ", ")
}

// KeyName formats the public name of a secret.
func KeyName(id uint32) string { return fmt.Sprintf("%08x", id) }
