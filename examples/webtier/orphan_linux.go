package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the process when this one dies, in case it
// is too busy to notice that its standard input has ended. (The signal is tied
// to the thread that starts the process. Go ends a thread only together with a
// goroutine that is locked to it, and this program has none.)
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
