//go:build unix

package main

import "syscall"

// Signals that stop a process and have it go on.
const (
	halted    = syscall.SIGSTOP
	continued = syscall.SIGCONT
)
