//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// twoProcesses map the same file.
func twoProcesses(t *testing.T) (*marks, *marks) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "marks")
	a, err := makeMarks(path, 2)
	require.NoError(t, err)
	b, err := openMarks(path)
	require.NoError(t, err)
	return a, b
}

func TestMarksOfAMovedSessionShowNoTwin(t *testing.T) {
	a, b := twoProcesses(t)
	a.enter(1, 0)(1)
	b.enter(1, 1)(2)
	a.enter(1, 2)(2) // a read
	a.enter(noMark, 7)(8)
	require.Zero(t, b.twins())
	require.Zero(t, b.lost())
}

func TestMarksSeeTwoHandlersAtOnce(t *testing.T) {
	a, b := twoProcesses(t)
	leave := a.enter(1, 0)
	b.enter(1, 0)(0)
	require.Equal(t, 1, a.twins())
	leave(1)
	require.Equal(t, 1, b.twins())
}

func TestMarksSeeTwoCopiesInTurns(t *testing.T) {
	a, b := twoProcesses(t)
	a.enter(0, 0)(1)
	a.enter(0, 1)(2)
	b.enter(0, 0)(1) // a stale copy
	require.Equal(t, 2, a.lost())
	require.Zero(t, a.twins())
	a.enter(0, 2)(3) // the other one still runs
	require.Equal(t, 1, a.twins())
}

func TestMarksCountALostWriteOnce(t *testing.T) {
	a, b := twoProcesses(t)
	a.enter(0, 0)(1)
	b.enter(0, 0)(1)
	b.enter(0, 1)(2)
	require.Equal(t, 1, b.lost())
	require.Zero(t, b.twins())
}

func TestMarksOfADeadProcessShowNoTwin(t *testing.T) {
	a, b := twoProcesses(t)
	a.enter(0, 0)(1)
	a.enter(1, 0) // and dies inside
	require.True(t, b.lastIn(0, os.Getpid()))
	require.False(t, b.lastIn(0, os.Getpid()+1))
	require.False(t, b.forget(0, os.Getpid()))
	require.False(t, b.forget(1, os.Getpid()))
	b.enter(0, 0)(1) // a new session of that name
	b.enter(1, 0)(1)
	b.enter(0, 1)(2)
	require.Zero(t, b.twins())
	require.Zero(t, b.lost())
	b.enter(0, 1)
	require.Equal(t, 1, b.lost())
}

func TestForgottenMarksSeeNewTwins(t *testing.T) {
	a, b := twoProcesses(t)
	a.enter(0, 0)(1)
	b.enter(0, 2)(3)
	require.True(t, a.forget(0))
	require.Zero(t, a.twins())
	b.enter(0, 4)(5) // merged
	require.Zero(t, a.twins())
	a.enter(0, 7)(8)
	require.Equal(t, 1, a.twins())
}

func TestMissingOrEmptyFileOfMarksIsRefused(t *testing.T) {
	_, err := openMarks(filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
	_, err = makeMarks(filepath.Join(t.TempDir(), "empty"), 0)
	require.ErrorContains(t, err, "0 bytes")
}
