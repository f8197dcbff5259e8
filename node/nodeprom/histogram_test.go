package nodeprom_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodeprom"
)

// durations are values at the bounds of buckets, and between them.
func durations() (all []time.Duration) {
	for _, b := range prometheus.DefBuckets {
		at := time.Duration(b * float64(time.Second))
		all = append(all, at-1, at, at+1)
	}
	for power := -19; power < 20; power++ {
		all = append(all, time.Duration(math.Exp2(float64(power))*1e9))
	}
	for range 10_000 {
		all = append(all, time.Duration(math.Exp(rand.Float64()*math.Log(1e12))))
	}
	return append(all, 0, 1, 1e15)
}

func written(t *testing.T, m prometheus.Metric) *dto.Histogram {
	t.Helper()
	var d dto.Metric
	require.NoError(t, m.Write(&d))
	d.Histogram.CreatedTimestamp = nil
	return d.Histogram
}

// Our histograms are faster than those of the client library, and count the same.
func TestHistogramsCountAsTheLibraryDoes(t *testing.T) {
	values := durations()
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h", Buckets: prometheus.DefBuckets})
	for _, v := range values {
		theirs.Observe(v.Seconds())
	}
	want, got := written(t, theirs), written(t, nodeprom.Histogram(prometheus.DefBuckets, values))
	require.InEpsilon(t, want.GetSampleSum(), got.GetSampleSum(), 1e-9)
	want.SampleSum, got.SampleSum = nil, nil
	require.Equal(t, want.String(), got.String())
}

func TestNativeHistogramsCountAsTheLibraryDoes(t *testing.T) {
	values := durations()
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h", NativeHistogramBucketFactor: 1.1,
		NativeHistogramZeroThreshold: math.Exp2(-20)})
	for _, v := range values {
		theirs.Observe(v.Seconds())
	}
	want, got := written(t, theirs), written(t, nodeprom.Histogram(nil, values))
	require.InEpsilon(t, want.GetSampleSum(), got.GetSampleSum(), 1e-9)
	want.SampleSum, got.SampleSum = nil, nil
	require.Equal(t, want.String(), got.String())
}
