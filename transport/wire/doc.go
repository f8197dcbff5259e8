// Package wire is msgpack as it crosses the network: append functions that
// write the shortest form, a Reader that takes values from a byte slice
// without copying, and Check, which every byte from a peer must pass before a
// general msgpack decoder may see it.
//
// The general decoder (vmihailenco/msgpack v5) trusts the lengths it reads:
// five bytes that claim four thousand million elements make it ask for 64 GB,
// and some megabytes of nested arrays overflow its stack; the runtime ends the
// process in both cases and recover does not help. Nothing in this package
// allocates by a claimed length, recurses, or panics, whatever the input is.
package wire
