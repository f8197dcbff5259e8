//go:build !unix

package main

import "os"

// Signals that stop a process and have it go on: there are none.
var (
	halted    = os.Interrupt
	continued = os.Interrupt
)
