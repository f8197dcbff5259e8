package ownership

import (
	"iter"
	"slices"
	"strings"
	"sync"
)

// roll is a list sorted by session. It stays fast when it is long: a partition of a
// big cluster has a hundred thousand sessions, and may have accepted all of them from
// one member. The zero value is empty.
type roll[T item] struct {
	blocks [][]T // none is empty
	count  int
}

// item is what a roll lists, each session once.
type item interface {
	of() string
	spare() *sync.Pool // of blocks of such items; see take
}

const (
	// rollBlock bounds a block: adding to it moves half of it on average.
	rollBlock = 128

	// smallBlock is from what size on a block has room for all that may come: a node that
	// drains fills one roll after another, and empties it again.
	smallBlock = 32
)

// Large blocks that are not used any more, by what they list: *[]T.
var spareSealed, spareAccepted, spareKept sync.Pool

// takeBlock returns an empty block with room for all that a block may have, and one more.
func takeBlock[T item]() []T {
	var x T
	if b, _ := x.spare().Get().(*[]T); b != nil {
		return *b
	}
	return make([]T, 0, rollBlock+1)
}

// giveBlock keeps the memory of a block that has been emptied, if it is a large one.
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

// block is the index of the block that session is in, or would be.
func (r *roll[T]) block(session string) int {
	i, ok := slices.BinarySearchFunc(r.blocks, session, func(b []T, s string) int { return strings.Compare(b[0].of(), s) })
	if !ok {
		i = max(i-1, 0)
	}
	return i
}

func within[T item](block []T, session string) (int, bool) {
	return slices.BinarySearchFunc(block, session, func(x T, s string) int { return strings.Compare(x.of(), s) })
}

// find returns the item of a session, or nil. The pointer is good until the roll
// changes.
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

// put adds an item, in place of the one of that session if there is one.
func (r *roll[T]) put(x T) {
	if r.count == 0 {
		r.blocks, r.count = [][]T{{x}}, 1
		return
	}
	at := r.block(x.of())
	block := r.blocks[at]
	i, ok := within(block, x.of())
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

// add is put for a session that has none.
func (r *roll[T]) add(x T) {
	if r.find(x.of()) == nil {
		r.put(x)
	}
}

// drop takes the item of a session out.
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

// all yields the items in order. The roll must not change meanwhile.
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

// list returns the items in order, as a copy.
func (r *roll[T]) list() []T {
	if r.count == 0 {
		return nil
	}
	return slices.Concat(r.blocks...)
}

// those returns the items of which test says so, as a copy.
func (r *roll[T]) those(test func(*T) bool) (some []T) {
	for x := range r.all() {
		if test(x) {
			some = append(some, *x)
		}
	}
	return some
}

// dropThose drops the items of which test says so.
func (r *roll[T]) dropThose(test func(*T) bool) {
	for _, x := range r.those(test) {
		r.drop(x.of())
	}
}

func (r *roll[T]) clone() roll[T] {
	c := roll[T]{count: r.count}
	for _, block := range r.blocks {
		c.blocks = append(c.blocks, slices.Clone(block))
	}
	return c
}
