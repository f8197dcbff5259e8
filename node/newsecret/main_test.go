package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrintsOneSecretOnOneLine(t *testing.T) {
	var a, b bytes.Buffer
	require.NoError(t, run(&a))
	require.NoError(t, run(&b))
	require.Regexp(t, `^sps1_[A-Za-z0-9_-]{48}\n$`, a.String())
	require.NotEqual(t, a.String(), b.String())
}

func TestFailsWhenItCannotPrint(t *testing.T) {
	require.ErrorContains(t, run(brokenPipe{}), "broken")
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken") }
