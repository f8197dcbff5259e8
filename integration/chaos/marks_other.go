//go:build !unix

package main

import (
	"errors"
	"fmt"
)

const noMark = -1

// marks needs memory that processes share.
type marks struct{}

func makeMarks(string, int) (*marks, error) {
	return nil, fmt.Errorf("chaos: shared memory: %w", errors.ErrUnsupported)
}

func openMarks(path string) (*marks, error) { return makeMarks(path, 0) }

func (*marks) enter(int, uint64) func(uint64) { return func(uint64) {} }
func (*marks) arrive(int)                     {}
func (*marks) lastIn(int, int) bool           { return false }
func (*marks) forget(int, ...int) bool        { return false }
func (*marks) twins() int                     { return 0 }
func (*marks) lost() int                      { return 0 }
