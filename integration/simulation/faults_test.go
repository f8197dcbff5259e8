package simulation_test

import "testing"

// Whatever crashes, is cut off or stands still: nothing hangs, and when it is over
// each session is there once, with all that it was told and no crash has taken.
func TestFaultsLeaveEachSessionThereOnce(t *testing.T) { playAll(t, unplanned(), nil) }
