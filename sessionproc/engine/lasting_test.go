package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A handler that has lasted once, as any does that the processor is taken away from, does not have its
// session make a record for each message from then on. One that lasts again and again does.
func TestAHandlerThatHasLastedOnceCostsNoRecords(t *testing.T) {
	for name, lasts := range map[string]func(n int) bool{
		"once":   func(n int) bool { return n == 3 },
		"always": func(int) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				handled := 0
				l, s := newKept(t, time.Millisecond, shopCode{run: func(context.Context, *shop, string) error {
					if handled++; lasts(handled) {
						time.Sleep(2 * time.Millisecond)
					}
					return nil
				}}.make())
				require.NoError(t, shops.Start(t.Context(), l, "a", 0))
				const burst = 32
				records := 0
				for range 4 {
					before := s.count()
					var calls []<-chan result
					for range burst {
						calls = append(calls, asking(func() (int, error) { return shopRun.Call(t.Context(), l, "a", "") }))
					}
					synctest.Wait()
					time.Sleep(time.Second)
					for _, c := range calls {
						require.NoError(t, requireAnswered(t, c, "it").err)
					}
					records = s.count() - before
				}
				if name == "once" {
					require.LessOrEqual(t, records, 3)
				} else {
					require.Equal(t, burst, records)
				}
			})
		})
	}
}
