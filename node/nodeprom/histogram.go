package nodeprom

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The scales of histograms.
var (
	// From what a call takes on its own node to what nobody waits for any more.
	secondBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	// From a visitor who leaves at once to one who is never forgotten.
	lifetimeBuckets = []float64{1, 10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600, 30 * 24 * 3600}
	byteBuckets     = []float64{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20}
)

// scale is the buckets of histograms of one sort. Values are whole numbers: ns or bytes.
type scale struct {
	unit   float64 // of what is exported, in values: 1e9 for seconds
	bounds []int64 // upper bounds of the buckets, which belong to them; nil: the scale is native
	labels []float64
	first  [65]uint8 // by the length of a value in bits, the first bucket that it may be in
}

// newScale returns the scale of buckets, which ascend.
func newScale(buckets []float64, unit float64) *scale {
	s := &scale{unit: unit, labels: buckets}
	for _, b := range buckets {
		s.bounds = append(s.bounds, int64(math.Round(b*unit)))
	}
	for length := range s.first {
		least := int64(0)
		if length > 0 {
			least = int64(1) << min(length-1, 62)
		}
		for int(s.first[length]) < len(s.bounds) && s.bounds[s.first[length]] < least {
			s.first[length]++
		}
	}
	return s
}

// Native histograms have 8 buckets for each power of two, from 2^-20 (1 µs) to 2^30.
const (
	nativeSchema = 3
	perPower     = 1 << nativeSchema
	leastPower   = -20
	mostPower    = 30
	nativeCount  = (mostPower - leastPower) * perPower
)

// nativeBounds are the upper bounds of the buckets between 1/2 and 1.
var nativeBounds = func() (b [perPower]float64) {
	for i := range b {
		b[i] = math.Exp2(float64(i+1)/perPower - 1)
	}
	return b
}()

// bucket returns the index of the bucket for v.
func (s *scale) bucket(v int64) int {
	if s.bounds == nil {
		return nativeBucket(float64(v) / s.unit)
	}
	i := int(s.first[bits.Len64(uint64(v))])
	for i < len(s.bounds) && v > s.bounds[i] {
		i++
	}
	return i
}

// nativeBucket is 0 for what is at most 2^-20, and i for what is above 2^-20 * 2^((i-1)/8).
func nativeBucket(v float64) int {
	frac, power := math.Frexp(v) // 1/2 <= frac < 1
	switch {
	case v <= 0 || power <= leastPower:
		return 0
	case power > mostPower:
		return nativeCount
	}
	i := 0
	for i < perPower-1 && frac > nativeBounds[i] {
		i++
	}
	if frac == .5 { // a power of two ends the bucket before
		i = -1
	}
	return (power-1-leastPower)*perPower + i + 1
}

// histogram counts values. It is safe for concurrent use.
type histogram struct {
	scale  *scale
	sum    atomic.Int64
	counts []atomic.Uint64 // by bucket
}

func newHistogram(s *scale) *histogram {
	n := len(s.bounds) + 1
	if s.bounds == nil {
		n = nativeCount + 1
	}
	return &histogram{scale: s, counts: make([]atomic.Uint64, n)}
}

// observe adds a value; one below 0 counts as 0.
func (h *histogram) observe(v int64) {
	v = max(v, 0)
	h.counts[h.scale.bucket(v)].Add(1)
	h.sum.Add(v)
}

// count returns how many values there were.
func (h *histogram) count() (n uint64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// A tally is the values of some histograms of one scale.
type tally struct {
	scale  *scale
	sum    float64
	counts []uint64
}

// sumOf adds histograms of one scale.
func sumOf(all ...*histogram) tally {
	t := tally{scale: all[0].scale, counts: make([]uint64, len(all[0].counts))}
	for _, h := range all {
		t.sum += float64(h.sum.Load()) / h.scale.unit
		for i := range h.counts {
			t.counts[i] += h.counts[i].Load()
		}
	}
	return t
}

func (t tally) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	if t.scale.bounds == nil {
		return t.native(desc, labels)
	}
	total := uint64(0)
	upTo := make(map[float64]uint64, len(t.scale.labels))
	for i, n := range t.counts {
		total += n
		if i < len(t.scale.labels) {
			upTo[t.scale.labels[i]] = total
		}
	}
	return prometheus.MustNewConstHistogram(desc, total, t.sum, upTo, labels...)
}

func (t tally) native(desc *prometheus.Desc, labels []string) prometheus.Metric {
	total := t.counts[0]
	zero, positive := total, map[int]int64{}
	for i, n := range t.counts {
		if i > 0 && n > 0 {
			positive[leastPower*perPower+i] = int64(n)
			total += n
		}
	}
	m, err := prometheus.NewConstNativeHistogram(desc, total, t.sum, positive, nil, zero, nativeSchema,
		math.Exp2(leastPower), time.Time{}, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}
