package node

import "errors"

// errNil is what methods of a nil *Node return. Those that return no error panic with it.
var errNil = errors.New("node: the *Node is nil: node.Start has failed, or has not returned yet")

// must panics with a sentence if n is nil.
func (n *Node) must() *Node {
	if n == nil {
		panic(errNil.Error())
	}
	return n
}
