package core

// Token is what methods and notices have in common: their place in a kind.
type Token struct {
	Ref   any    // the *KindRef; the kind that is bound to it compares pointers
	Kind  string // its name
	Name  string
	Index int // among the tokens of ref
}
