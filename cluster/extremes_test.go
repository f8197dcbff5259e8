package cluster_test

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
)

// Each number of a Config, set to an extreme, is refused by an error that names it, or works.
func TestExtremesOfAConfigAreRefusedOrWork(t *testing.T) {
	fields := reflect.TypeFor[cluster.Config]()
	for i := range fields.NumField() {
		f := fields.Field(i)
		var values []any
		switch f.Type.Kind() {
		case reflect.Int64:
			values = []any{int64(math.MinInt64), int64(-1), int64(1), int64(math.MaxInt64 - 1), int64(math.MaxInt64)}
		case reflect.Uint8:
			values = []any{uint8(254), uint8(255)}
		}
		for _, value := range values {
			t.Run(fmt.Sprint(f.Name, "=", value), func(t *testing.T) {
				simulate(t, func(t *testing.T, s *sim) {
					set := func(c *cluster.Config) {
						reflect.ValueOf(c).Elem().Field(i).Set(reflect.ValueOf(value).Convert(f.Type))
					}
					var all []*cluster.Cluster
					for k := range 2 {
						cfg := s.config(k + 1)
						if set(&cfg); k > 0 {
							cfg.Join = []string{addr(1)}
						}
						c, err := cluster.Start(t.Context(), cfg)
						if err != nil {
							require.ErrorContains(t, err, "Config."+f.Name)
							return
						}
						t.Cleanup(func() { require.NoError(t, c.Close()) })
						all = append(all, c)
					}
					s.wait(5 * time.Second)
					if value != int64(1) { // no time to join
						require.Len(t, names(all[0]), 2)
					}
				})
			})
		}
	}
}
