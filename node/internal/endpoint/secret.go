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
	secretPrefix   = "sps1_" // names the format, so that a later one can be told apart
	secretBytes    = 32      // random bytes of a secret
	secretChecksum = 4       // bytes of checksum behind them
	secretLen      = len(secretPrefix) + (secretBytes+secretChecksum)*4/3

	// newSecretCommand prints a secret; every error about a secret ends with it.
	newSecretCommand = "go run github.com/sessionproc/sessionproc/node/newsecret"
)

// NewSecret is node.NewSecret.
func NewSecret() string {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process where there is no randomness
	sum := checksumOf(b[:])
	return secretPrefix + base64.RawURLEncoding.EncodeToString(append(b[:], sum[:]...))
}

func checksumOf(secret []byte) [secretChecksum]byte {
	h := sha256.New()
	h.Write([]byte("sessionproc secret checksum"))
	h.Write(secret)
	return [secretChecksum]byte(h.Sum(nil))
}

// parseSecret gives the 32 bytes of a secret that NewSecret made; white space around it is ignored, as files and environment
// variables often end in a new line. Its errors never contain any of the text.
func parseSecret(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	body, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, errors.New("not a secret that NewSecret made, and a pass phrase could be guessed from one recorded packet; " +
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

// A secretKey is everything that is derived from one secret for one cluster.
type secretKey struct {
	id     uint32 // public: names the secret in hellos, gossip meta and errors
	gossip []byte // AES-256-GCM, memberlist's
	auth   []byte // HMAC-SHA256, the hello's
	secret []byte // to tell another cluster's name from another secret
}

func newSecretKey(secret []byte, cluster string) secretKey {
	return secretKey{
		id:     binary.BigEndian.Uint32(deriveKey(secret, "key id", "", 4)),
		gossip: deriveKey(secret, "gossip", cluster, 32),
		auth:   deriveKey(secret, "auth", cluster, 32),
		secret: secret,
	}
}

// deriveKey is HKDF-SHA256 with one label a use. No label holds a zero byte, so no two pairs of label and cluster
// give the same info.
func deriveKey(secret []byte, label, cluster string, size int) []byte {
	k, err := hkdf.Key(sha256.New, secret, nil, "sessionproc/1 "+label+"\x00"+cluster, size)
	if err != nil {
		panic("node: HKDF of " + label + ": " + err.Error()) // only for sizes beyond 8160 bytes
	}
	return k
}

// sign is the code of a hello: HMAC-SHA256 over the parts, each behind its length, so that no two lists of parts are
// the same bytes.
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

// keys are the secrets of a node: the first is used, all are accepted. Empty means that the node has no secret.
// Immutable.
type Keys struct{ list []secretKey }

// newKeys derives the keys of Config.Secret and Config.AcceptSecrets, which may repeat one another.
func NewKeys(cluster, secret string, accept []string) (Keys, error) {
	if secret == "" {
		if len(accept) > 0 {
			return Keys{}, errors.New("Config.AcceptSecrets is set and Config.Secret is not: put the secret that this node is to use there")
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

// accepts reports whether the secret of that public name is among them.
func (ks Keys) Accepts(id uint32) bool { return slices.Contains(ks.IDs(), id) }

// find is the key of that public name.
func (ks Keys) find(id uint32) (k secretKey, ok bool) {
	for _, k := range ks.list {
		if k.id == id {
			return k, true
		}
	}
	return secretKey{}, false
}

// none reports that the node has no secret.
func (ks Keys) none() bool { return len(ks.list) == 0 }

// ids are the public names of the secrets, the used one first.
func (ks Keys) IDs() []uint32 {
	ids := make([]uint32, len(ks.list))
	for i, k := range ks.list {
		ids[i] = k.id
	}
	return ids
}

// gossipKeys are memberlist's, the used one first.
func (ks Keys) GossipKeys() [][]byte {
	gossip := make([][]byte, len(ks.list))
	for i, k := range ks.list {
		gossip[i] = k.gossip
	}
	return gossip
}

// String names the secrets by their public IDs; it is safe to log.
func (ks Keys) String() string {
	names := make([]string, len(ks.list))
	for i, k := range ks.list {
		names[i] = KeyName(k.id)
	}
	return strings.Join(names, ", ")
}

func KeyName(id uint32) string { return fmt.Sprintf("%08x", id) }
