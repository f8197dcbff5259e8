//go:build !linux

package promserver

import "os/exec"

// dieWithParent does nothing here: Close ends the process.
func dieWithParent(*exec.Cmd) {}
