package engine

// fifo is a queue that gives its memory back when it is empty.
type fifo[T any] struct {
	items []T // from head on
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

// all returns what is in the queue, the oldest first. The caller may change it.
func (q *fifo[T]) all() []T { return q.items[q.head:] }

// shorten leaves only the first n.
func (q *fifo[T]) shorten(n int) {
	clear(q.items[q.head+n:])
	if q.items = q.items[:q.head+n]; n == 0 {
		q.items, q.head = q.items[:0], 0
	}
}

// skip removes the oldest n. The others move to the front of the memory when they are no more than those
// that have left.
func (q *fifo[T]) skip(n int) {
	clear(q.items[q.head : q.head+n])
	if q.head += n; q.head < q.len() {
		return
	}
	left := copy(q.items, q.items[q.head:])
	clear(q.items[q.head:])
	q.items, q.head = q.items[:left], 0
}

// first returns the oldest; the queue must not be empty.
func (q *fifo[T]) first() T { return q.items[q.head] }

// pop removes the oldest; the queue must not be empty.
func (q *fifo[T]) pop() T {
	var none T
	v := q.items[q.head]
	q.items[q.head] = none
	q.head++
	switch {
	case q.head == len(q.items):
		q.head = 0
		if q.items = q.items[:0]; cap(q.items) > 1024 {
			q.items = nil
		}
	case q.head > 1024 && q.head > len(q.items)/2:
		q.items, q.head = append([]T(nil), q.items[q.head:]...), 0
	}
	return v
}
