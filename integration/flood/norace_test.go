//go:build !race

package main

// attackRate is how many connections a second an attack of the tests makes.
const attackRate = 2000
