package nodetest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A parcel keeps the van that it is in, which does not travel.
type parcel struct {
	Stops []string
	Cost  map[string]int
	van   *string `msgpack:"-"`
}

// parcelKind is a kind with that OnArrive.
func parcelKind(arrived func(p *parcel, ctx context.Context, a sessionproc.Arrival) error) sessionproc.AnyKind {
	ref := sessionproc.KindOf[sessionproc.None]("parcel")
	k := sessionproc.NewKind(ref, func(context.Context, sessionproc.None) (*parcel, error) { return new(parcel), nil },
		sessionproc.KindConfig{})
	k.OnArrive(arrived)
	return k
}

func TestCheckKindReportsOnArriveThatChangesTheState(t *testing.T) {
	van, calls := "van", 0
	for name, c := range map[string]struct {
		arrived func(p *parcel, ctx context.Context, a sessionproc.Arrival) error
		want    string // "": it passes
	}{
		"sets what does not travel": {arrived: func(p *parcel, ctx context.Context, a sessionproc.Arrival) error {
			calls++
			p.van = &van
			require.Equal(t, sessionproc.ArrivalMoved, a.Reason)
			require.Equal(t, "parcel", sessionproc.FromContext(ctx).Kind())
			return nil
		}},
		"fails": {arrived: func(*parcel, context.Context, sessionproc.Arrival) error {
			return errors.New("there is no van")
		}},
		"changes a field": {func(p *parcel, _ context.Context, _ sessionproc.Arrival) error {
			p.Stops = append(p.Stops, "here")
			return nil
		}, "state: OnArrive changes what travels, which counts as no change"},
		"changes it and fails": {func(p *parcel, _ context.Context, _ sessionproc.Arrival) error {
			p.Cost["stamp"]++
			return errors.New("there is no van")
		}, "OnArrive changes what travels"},
		"panics": {func(*parcel, context.Context, sessionproc.Arrival) error {
			panic("no van")
		}, "OnArrive panicked: no van"},
	} {
		sample := &parcel{Stops: []string{"there"}, Cost: map[string]int{"stamp": 1, "box": 2}}
		got := check(t, parcelKind(c.arrived), t.TempDir(), true, sample)
		if c.want == "" {
			require.Empty(t, got, name)
		} else {
			require.Contains(t, got, c.want, name)
		}
	}
	require.Equal(t, 1, calls)
}
