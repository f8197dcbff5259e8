package nodetest_test

import (
	"testing"
	"testing/synctest"
)

// The examples need a *testing.T, so go test compiles them only. Here they run.
func TestExamplesRun(t *testing.T) {
	for name, example := range map[string]func(){
		"the file":   Example,           // has a bubble of its own
		"NewCluster": ExampleNewCluster, // likewise
		"Context":    ExampleContext,
		"Reply":      ExampleReply,
		"CheckKind":  ExampleCheckKind,
	} {
		t.Run(name, func(t *testing.T) {
			testingT = t
			example()
		})
	}
	t.Run("Cluster.Isolate", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			testingT = t
			ExampleCluster_Isolate()
		})
	})
}
