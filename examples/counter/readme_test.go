package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The first program of the README compiles and runs as it is pasted.
func TestReadmeProgramCompilesAndRuns(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, program, found := bytes.Cut(readme, []byte("```go\npackage main\n"))
	require.True(t, found, "no program")
	program, _, _ = bytes.Cut(program, []byte("```\n"))
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, append([]byte("package main\n"), program...), 0o600))

	formatted, err := exec.Command("gofmt", file).Output()
	require.NoError(t, err)
	require.Equal(t, "package main\n"+string(program), string(formatted), "gofmt")

	var stderr bytes.Buffer
	run := exec.Command("go", "run", file) // in this module, which provides the imports
	run.Stderr = &stderr
	out, err := run.Output()
	require.NoError(t, err, "%s", &stderr)
	require.Equal(t, "1\n", string(out), "%s", &stderr)
}
