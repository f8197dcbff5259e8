package nodeprom

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Described returns the sort and the sorted labels of each metric.
func Described() map[string]string {
	all := map[string]string{}
	for _, m := range metrics {
		labels := strings.Fields(m.labels)
		slices.Sort(labels)
		all[m.name] = m.sort + " " + strings.Join(labels, ",")
	}
	return all
}

// Histogram has the values, as seconds, in a histogram of this package.
func Histogram(buckets []float64, values []time.Duration) prometheus.Metric {
	s := newScale(buckets, nanoseconds)
	if buckets == nil {
		s.bounds = nil
	}
	h := newHistogram(s)
	for _, v := range values {
		h.observe(int64(v))
	}
	return sumOf(h).metric(prometheus.NewDesc("h", "h", nil, nil))
}
