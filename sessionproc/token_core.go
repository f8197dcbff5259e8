package sessionproc

// token is what methods and notices have in common: their place in a kind.
type token struct {
	ref   any    // the *KindRef; the kind that is bound to it compares pointers
	kind  string // its name
	name  string
	index int // among the tokens of ref
}
