package main

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// visits is a line of the program's output.
var visits = regexp.MustCompile(`^(ann|bob|cid): (\d+), kept by the node at (127\.0\.0\.1:\d+)$`)

func build(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "counter")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// line is one visit: whose, which, and the node that keeps the count.
type line struct{ name, count, addr string }

func read(t *testing.T, lines *bufio.Scanner) (got []line) {
	t.Helper()
	for len(got) < 3 {
		require.True(t, lines.Scan(), "three lines")
		m := visits.FindStringSubmatch(lines.Text())
		require.NotNil(t, m, lines.Text())
		got = append(got, line{m[1], m[2], m[3]})
	}
	return got
}

func TestOneNodeCountsAndEnds(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), build(t))
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	got := read(t, bufio.NewScanner(stdout))
	for i, name := range []string{"ann", "bob", "cid"} {
		require.Equal(t, line{name, "1", got[0].addr}, got[i])
	}
	rest, err := io.ReadAll(stdout)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.NoError(t, cmd.Wait())
}

func TestTwoNodesShareTheirSessions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Ctrl-C cannot be sent to another process on Windows")
	}
	program := build(t)
	first := exec.Command(program, "-bind", "127.0.0.1:0")
	first.Stderr = t.Output()
	stdout, err := first.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, first.Start())
	t.Cleanup(func() { first.Process.Kill() })
	addr := read(t, bufio.NewScanner(stdout))[0].addr

	second := exec.CommandContext(t.Context(), program, "-join", addr)
	second.Stderr = t.Output()
	out, err := second.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, second.Start())
	for _, got := range read(t, bufio.NewScanner(out)) {
		if got.addr == addr {
			require.Equal(t, "2", got.count, "%s went on where the first node left off", got.name)
		}
	}
	require.NoError(t, second.Wait())

	require.NoError(t, first.Process.Signal(syscall.SIGINT))
	require.NoError(t, first.Wait(), "Ctrl-C ends it in good order")
}
