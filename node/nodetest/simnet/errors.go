package simnet

import (
	"net"
	"os"
	"syscall"
)

// opError returns an error as package net makes it.
func opError(op, network string, source, addr net.Addr, err error) error {
	return &net.OpError{Op: op, Net: network, Source: source, Addr: addr, Err: err}
}

func syscallError(call string, errno syscall.Errno) error { return os.NewSyscallError(call, errno) }
