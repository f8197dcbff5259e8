package ownership

import (
	"iter"
	"slices"
	"strings"
	"sync"
)

// A roll is a list of items that is sorted by session. It stays fast when it is
// long: a partition of a big cluster has a hundred thousand sessions, and a
// node may have accepted all of them from one member. The zero value is an
// empty list.
type roll[T item] struct {
	blocks [][]T // sorted, and never empty
	count  int
}

// An item is an element of a roll. A roll has at most one item of each session.
type item interface {
	sessionID() string
	spare() *sync.Pool // unused blocks of such items; see takeBlock
}

const (
	// rollBlock bounds the length of a block. An insertion moves half a block on average.
	rollBlock = 128

	// smallBlock is the length from which on a block has its full capacity: a draining node
	// fills one roll after another, and empties it again.
	smallBlock = 32
)

// Large blocks that are not in use, as *[]T, one pool for each type of item.
var spareSealed, spareAccepted, spareKept, spareStandby sync.Pool

// takeBlock returns an empty block with room for rollBlock items and one more.
func takeBlock[T item]() []T {
	var x T
	if b, _ := x.spare().Get().(*[]T); b != nil {
		return *b
	}
	return make([]T, 0, rollBlock+1)
}

// giveBlock keeps the memory of an emptied block for takeBlock, if the block is a large one.
func giveBlock[T item](b []T) {
	if cap(b) <= rollBlock {
		return
	}
	var x T
	clear(b[:cap(b)])
	b = b[:0]
	x.spare().Put(&b)
}

func (r *roll[T]) len() int { return r.count }

// block returns the index of the block that contains session, or would contain
// it.
func (r *roll[T]) block(session string) int {
	i, ok := slices.BinarySearchFunc(r.blocks, session, func(b []T, s string) int {
		return strings.Compare(b[0].sessionID(), s)
	})
	if !ok {
		i = max(i-1, 0)
	}
	return i
}

// within returns the index of session in a block.
func within[T item](block []T, session string) (int, bool) {
	return slices.BinarySearchFunc(block, session, func(x T, s string) int { return strings.Compare(x.sessionID(), s) })
}

// find returns the item of a session, or nil. The pointer is valid until the
// roll changes.
func (r *roll[T]) find(session string) *T {
	if r.count == 0 {
		return nil
	}
	block := r.blocks[r.block(session)]
	if i, ok := within(block, session); ok {
		return &block[i]
	}
	return nil
}

// put adds an item. It replaces the item of the same session.
func (r *roll[T]) put(x T) {
	if r.count == 0 {
		r.blocks, r.count = [][]T{{x}}, 1
		return
	}
	at := r.block(x.sessionID())
	block := r.blocks[at]
	i, ok := within(block, x.sessionID())
	if ok {
		block[i] = x
		return
	}
	r.count++
	if len(block) == cap(block) && len(block) >= smallBlock {
		block = append(takeBlock[T](), block...)
	}
	block = slices.Insert(block, i, x)
	if len(block) <= rollBlock {
		r.blocks[at] = block
		return
	}
	half := len(block) / 2
	rest := append(takeBlock[T](), block[half:]...)
	clear(block[half:])
	r.blocks[at] = block[:half]
	r.blocks = slices.Insert(r.blocks, at+1, rest)
}

// add adds an item unless the session has one.
func (r *roll[T]) add(x T) {
	if r.find(x.sessionID()) == nil {
		r.put(x)
	}
}

// drop removes the item of a session.
func (r *roll[T]) drop(session string) {
	if r.count == 0 {
		return
	}
	at := r.block(session)
	i, ok := within(r.blocks[at], session)
	if !ok {
		return
	}
	r.count--
	r.blocks[at] = slices.Delete(r.blocks[at], i, i+1)
	if len(r.blocks[at]) > 0 {
		return
	}
	giveBlock(r.blocks[at])
	if r.blocks = slices.Delete(r.blocks, at, at+1); r.count == 0 {
		r.blocks = nil
	}
}

// all yields the items in order. The roll must not change during the iteration.
func (r *roll[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, block := range r.blocks {
			for i := range block {
				if !yield(&block[i]) {
					return
				}
			}
		}
	}
}

// list returns a copy of the items in order.
func (r *roll[T]) list() []T {
	if r.count == 0 {
		return nil
	}
	return slices.Concat(r.blocks...)
}

// those returns copies of the items for which test reports true.
func (r *roll[T]) those(test func(*T) bool) (some []T) {
	for x := range r.all() {
		if test(x) {
			some = append(some, *x)
		}
	}
	return some
}

// dropThose removes the items for which test reports true.
func (r *roll[T]) dropThose(test func(*T) bool) {
	for _, x := range r.those(test) {
		r.drop(x.sessionID())
	}
}

func (r *roll[T]) clone() roll[T] {
	c := roll[T]{count: r.count}
	for _, block := range r.blocks {
		c.blocks = append(c.blocks, slices.Clone(block))
	}
	return c
}
