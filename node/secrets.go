package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/endpoint"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// SetSecrets replaces Config.Secret and Config.AcceptSecrets while the node runs. A
// secret is replaced in three steps, each on all nodes before the next:
//
//	n.SetSecrets(old, new) // the new one is accepted
//	n.SetSecrets(new, old) // and used
//	n.SetSecrets(new)      // and the old one is refused
//
// No request fails by it: connections are made anew with the secret in use, and the old
// ones end when what is under way on them is over, at the latest after Config.CallTimeout.
// Gossip and new connections go by the new secrets at once.
//
// It refuses to use a secret that a member does not accept yet, and to drop one that a
// member still uses, with an error that names these members, which would be cut off; what
// a member accepts is known to the others about a second after its own SetSecrets. It
// fails too on a node that was started without a Secret, and with ErrClosed after Leave or
// Close; after an error nothing has changed.
func (n *Node) SetSecrets(secret string, accept ...string) error {
	if n == nil {
		return errNil
	}
	if err := n.setSecrets(secret, accept); err != nil {
		if errors.Is(err, sessionproc.ErrClosed) {
			return err
		}
		return fmt.Errorf("node: SetSecrets: %w", err)
	}
	return nil
}

// NewSecret makes a secret for Config.Secret: "sps1_" and 48 characters of base64url that
// hold 32 bytes from the operating system's random source and a checksum. Every node of a
// cluster is given the same one. It may be kept wherever passwords are kept; whoever has it
// can join the cluster and read every session. Safe for concurrent use.
func NewSecret() string { return endpoint.NewSecret() }

func (n *Node) setSecrets(secret string, accept []string) error {
	n.secrets.Lock()
	defer n.secrets.Unlock()
	switch {
	case n.routes.Load().Closed:
		return sessionproc.ErrClosed
	case !n.endpoint.HasSecret():
		return errors.New("this node was started without Config.Secret")
	case secret == "":
		return errors.New("a cluster that has a secret cannot do without: restart all nodes")
	}
	ks, err := endpoint.NewKeys(n.cfg.Cluster, secret, accept)
	if err != nil {
		return err
	}
	if err := n.checkMembers(ks); err != nil {
		return err
	}
	switch err := n.cluster.SetKeys(ks.GossipKeys(), ks.IDs()); {
	case errors.Is(err, cluster.ErrClosed):
		return sessionproc.ErrClosed
	case err != nil:
		return err
	}
	n.endpoint.SetKeys(ks)
	n.transport.Retire(n.endpoint.Outdated, n.cfg.CallTimeout)
	n.log.Info("the secrets have changed", "keys", ks.String())
	return nil
}

// checkMembers returns an error if members would be cut off.
func (n *Node) checkMembers(ks endpoint.Keys) error {
	var lack, use []string
	for _, m := range n.cluster.View().Members {
		switch {
		case m.Name() == n.self.Name():
		case !slices.Contains(m.KeyIDs, ks.IDs()[0]):
			lack = append(lack, m.Slot)
		case !ks.Accepts(m.KeyIDs[0]):
			use = append(use, m.Slot)
		}
	}
	switch {
	case len(lack) > 0:
		return fmt.Errorf("the members %s do not accept the secret of key %s yet: SetSecrets(old, new) there first",
			strings.Join(lack, ", "), endpoint.KeyName(ks.IDs()[0]))
	case len(use) > 0:
		return fmt.Errorf("the members %s still use a secret that would not be accepted: SetSecrets(new, old) there first",
			strings.Join(use, ", "))
	}
	return nil
}
