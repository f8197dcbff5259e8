//go:build race

package main

// attackRate is how many connections a second an attack of the tests makes. Under the
// race detector TLS takes several times as long.
const attackRate = 200
