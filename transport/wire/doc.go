// Package wire is msgpack as it crosses the network: append functions that
// write the shortest form, a Reader that takes values from a byte slice
// without copying, and Check, which every byte from a peer must pass before a
// general msgpack decoder may see it.
//
// The general decoder (vmihailenco/msgpack v5) trusts the lengths that it
// reads. Five bytes that claim four thousand million elements make it allocate
// 64 GB, and some megabytes of nested arrays overflow its stack. In both cases
// the runtime ends the process, and recover does not help. This package never
// allocates by a claimed length, recurses, or panics, for any input.
package wire
