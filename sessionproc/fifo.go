package sessionproc

// fifo is a queue that gives its memory back when it is empty.
type fifo[T any] struct {
	items []T // from first on
	first int
}

func (q *fifo[T]) len() int { return len(q.items) - q.first }

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

// pop removes the oldest; the queue must not be empty.
func (q *fifo[T]) pop() T {
	var none T
	v := q.items[q.first]
	q.items[q.first] = none
	q.first++
	switch {
	case q.first == len(q.items):
		q.first = 0
		if q.items = q.items[:0]; cap(q.items) > 1024 {
			q.items = nil
		}
	case q.first > 1024 && q.first > len(q.items)/2:
		q.items, q.first = append([]T(nil), q.items[q.first:]...), 0
	}
	return v
}
