// Package testsize is what tests of this module set to make the clusters of nodetest smaller than those
// that users get.
package testsize

// Partitions is how many partitions a cluster of nodetest has unless Tune says otherwise; 0 means as
// many as in production. A test binary sets it before its first cluster starts.
var Partitions int
