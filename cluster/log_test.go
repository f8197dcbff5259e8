package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func bridge(level slog.Level) (*logBridge, *bytes.Buffer) {
	var out bytes.Buffer
	return newLogBridge(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})), func(line string) bool { return strings.Contains(line, "leaver") }), &out
}

// What a planned leave makes memberlist complain about is Debug, and what members
// decide is cut.
func TestLogLinesOfLeaversAreDebugAndLongOnesCut(t *testing.T) {
	b, out := bridge(slog.LevelDebug)
	b.std().Print("[ERR] memberlist: Push/Pull with leaver/1 failed")
	require.Equal(t, "level=DEBUG msg=\"memberlist: Push/Pull with leaver/1 failed\"\n", out.String())
	out.Reset()
	b.std().Print("[WARN] memberlist: ignoring " + strings.Repeat("x", 1<<20))
	require.Contains(t, out.String(), "level=WARN")
	require.Contains(t, out.String(), "cut_bytes=1047561")
	require.Less(t, out.Len(), 1200)
}

func TestLeaversAreKnownByNameAndAddressForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTable("self/0000000000000001", nil)
		for i, slot := range []string{"serves", "drains", "leaves"} {
			m := Member{Slot: slot, Boot: 7, Addr: fmt.Sprintf("10.0.0.%d:1", i), State: Serving}
			if slot == "drains" {
				m.State = Draining
			}
			tab.put(record{meta: meta{Member: m, leaving: slot == "leaves"}, gossip: m.Addr})
		}
		for _, gone := range []bool{false, true} {
			if gone {
				for _, m := range tab.view.Load().Members {
					tab.remove(m.Name())
				}
			}
			require.False(t, tab.ofLeaver("Push/Pull with serves/0000000000000007 failed"))
			require.True(t, tab.ofLeaver("Push/Pull with drains/0000000000000007 failed"))
			require.True(t, tab.ofLeaver("Failed to send gossip to 10.0.0.2:1: no"))
		}
		time.Sleep(leaverFor + time.Second)
		require.False(t, tab.ofLeaver("Push/Pull with drains/0000000000000007 failed"))
	})
}

func TestLogLinesKeepTheirLevel(t *testing.T) {
	for line, want := range map[string]string{
		"[DEBUG] memberlist: x":                           "level=DEBUG msg=\"memberlist: x\"\n",
		"[INFO] memberlist: x":                            "level=INFO msg=\"memberlist: x\"\n",
		"[WARN] memberlist: x":                            "level=WARN msg=\"memberlist: x\"\n",
		"[ERR] memberlist: x":                             "level=ERROR msg=\"memberlist: x\"\n",
		"[ERROR] x":                                       "level=ERROR msg=\"memberlist: x\"\n",
		"[ERR] memberlist: Push/Pull with a/1 failed":     "level=WARN msg=\"memberlist: Push/Pull with a/1 failed\"\n",
		"[ERR] memberlist: Failed to send gossip to a: x": "level=WARN msg=\"memberlist: Failed to send gossip to a: x\"\n",
		"Err: x":              "level=WARN msg=\"memberlist: Err: x\"\n",
		"[ODD] memberlist: x": "level=WARN msg=\"memberlist: [ODD] memberlist: x\"\n",
		"":                    "level=WARN msg=\"memberlist: \"\n",
	} {
		b, out := bridge(slog.LevelDebug)
		b.std().Print(line)
		require.Equal(t, want, out.String(), line)
	}
}

func TestLogLinesBelowTheLevelCostNothing(t *testing.T) {
	b, out := bridge(slog.LevelInfo)
	line := []byte("[DEBUG] memberlist: Stream connection from=127.0.0.1:1\n")
	require.Zero(t, testing.AllocsPerRun(50, func() { b.Write(line) }))
	require.Empty(t, out.String())
	require.Zero(t, b.limit.Keys())
}

func TestFloodOfLogLinesIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, out := bridge(slog.LevelInfo)
		flood := func(n int) {
			for i := range n {
				b.std().Printf("[ERR] memberlist: Decrypt packet failed: %d from=10.0.0.%d", i, i)
			}
		}
		flood(1000)
		b.std().Print("[INFO] memberlist: Marking a as failed")
		require.Equal(t, logBurst+1, strings.Count(out.String(), "\n"), "another kind is not held back")
		time.Sleep(logWindow)
		out.Reset()
		flood(1)
		require.Contains(t, out.String(), fmt.Sprintf("suppressed=%d", 1000-logBurst))
	})
}

func TestRememberedSortsOfLogLinesAreBounded(t *testing.T) {
	b, _ := bridge(slog.LevelInfo)
	for i := range 26 * 26 {
		b.std().Printf("[WARN] memberlist: %c%c", 'a'+i/26, 'a'+i%26)
	}
	require.LessOrEqual(t, b.limit.Keys(), logKinds+1)
}

func TestNothingIsLoggedAfterTheEnd(t *testing.T) {
	b, out := bridge(slog.LevelDebug)
	b.closed.Store(true)
	b.std().Print("[ERR] memberlist: x")
	require.Empty(t, out.String())
}
