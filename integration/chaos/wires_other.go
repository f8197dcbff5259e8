//go:build !linux

package main

import (
	"context"
	"errors"
	"os/exec"
)

// wires need Linux.
type wires struct{}

var errNotPermitted = errors.New("network namespaces need Linux")

func (*wires) separate(*exec.Cmd)                         {}
func (*wires) host(int) string                            { return "" }
func (*wires) lay(context.Context, int) error             { return errNotPermitted }
func (*wires) plug(context.Context, int, int) error       { return errNotPermitted }
func (*wires) move(context.Context, string, ...int) error { return errNotPermitted }
func (*wires) set(context.Context, int, string) error     { return errNotPermitted }
func permitted(err error) error                           { return err }
