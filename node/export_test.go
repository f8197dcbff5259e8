package node

// RunUntil is RunUntilSignal with signals that a test sends.
var RunUntil = runUntil
