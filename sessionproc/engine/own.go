package engine

// own counts the messages that the library itself has put into a mailbox: those of timers and
// watches. They take no places from the messages of users, because they have bounds of their own:
// a watch has one message, a timer at most one at a time, and MaxTimers counts an After until its
// message is handled. If they did take places, a full mailbox would delay a timer, whose handler
// may be what empties the mailbox.
type own struct {
	messages int32
	bytes    int32
	shots    int32 // those of the messages that come from timers which fire once
}
