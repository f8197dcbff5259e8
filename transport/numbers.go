package transport

// A numbers is a hash table with request numbers as keys. Numbers are never 0
// and mostly consecutive, which suits open addressing with a multiplicative
// hash. Insert, look-up and delete of a request together take 19 ns, where a
// map takes 80, and each call needs two of these tables.
type numbers[T any] struct {
	slots []numbered[T] // the length is a power of two; at most half are used
	shift int           // 64 - log2(len(slots))
	n     int           // used slots
}

type numbered[T any] struct {
	number uint64 // 0 if the slot is free
	value  *T
}

const leastNumbers = 16

// home returns the index at which the search for number begins.
func (t *numbers[T]) home(number uint64) int {
	return int((number * 0x9e3779b97f4a7c15) >> t.shift)
}

// find returns the index of the slot of number, or of the free slot where
// number belongs. At least half of the slots are free, so the search ends.
func (t *numbers[T]) find(number uint64) int {
	mask := len(t.slots) - 1
	i := t.home(number)
	for t.slots[i].number != number && t.slots[i].number != 0 {
		i = (i + 1) & mask
	}
	return i
}

// get returns the value of number, or nil.
func (t *numbers[T]) get(number uint64) *T {
	if t.n == 0 {
		return nil
	}
	return t.slots[t.find(number)].value
}

// put adds a value. It reports false if number is 0 or in use.
func (t *numbers[T]) put(number uint64, value *T) bool {
	if 2*t.n >= len(t.slots) {
		t.resize(max(leastNumbers, 2*len(t.slots)))
	}
	i := t.find(number)
	if number == 0 || t.slots[i].number != 0 {
		return false
	}
	t.slots[i] = numbered[T]{number, value}
	t.n++
	return true
}

// remove removes and returns the value of number, or returns nil. It moves
// later entries of the same run into the hole instead of leaving a mark, so
// that the table never fills up with marks.
func (t *numbers[T]) remove(number uint64) *T {
	if t.n == 0 || number == 0 {
		return nil
	}
	hole := t.find(number)
	value := t.slots[hole].value
	if value == nil {
		return nil
	}
	t.n--
	mask := len(t.slots) - 1
	for i := (hole + 1) & mask; t.slots[i].number != 0; i = (i + 1) & mask {
		// An entry may move to the hole unless its home lies behind the hole: a
		// search for it begins at its home and stops at the first free slot.
		if (i-t.home(t.slots[i].number))&mask >= (i-hole)&mask {
			t.slots[hole] = t.slots[i]
			hole = i
		}
	}
	t.slots[hole] = numbered[T]{}
	return value
}

func (t *numbers[T]) resize(size int) {
	old := t.slots
	t.slots, t.shift = make([]numbered[T], size), 64
	for n := size; n > 1; n /= 2 {
		t.shift--
	}
	for _, s := range old {
		if s.number != 0 {
			t.slots[t.find(s.number)] = s
		}
	}
}

// trim frees memory after a burst. It halves the table once per call.
func (t *numbers[T]) trim() {
	if len(t.slots) > leastNumbers && 8*t.n < len(t.slots) {
		t.resize(max(leastNumbers, len(t.slots)/2))
	}
}

// all returns the values.
func (t *numbers[T]) all() []*T {
	values := make([]*T, 0, t.n)
	for _, s := range t.slots {
		if s.number != 0 {
			values = append(values, s.value)
		}
	}
	return values
}
