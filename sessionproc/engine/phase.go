package engine

// A phase is where a session stands in its life. process.mu guards it, and only the
// functions of this table change it:
//
//	phase     begins in                  ends in, and who may do so       a message gets
//	starting  newProcess                 started, startFailed: the        a place in the mailbox,
//	                                     session's goroutine              behind the start
//	live      started, restore           sealLocked, end: any goroutine;  a place in the mailbox, or
//	                                     next: its own                    in the line before it
//	renewed   becomeRenewed,             sealLocked, end: any goroutine;  ErrRenewed
//	          meetRenewed                releaseID: its timer
//	quaran-   quarantineLocked: when it  sealLocked, end: any goroutine   errQuarantined
//	tined     comes
//	sealed    sealLocked, leaveTo        resumeLocked, Forget, end: any   sealing.moved: it did not
//	                                     goroutine; becomeRenewed         run, try there; a cast that
//	                                                                      can travel gets a place
//	ending    end, next (after Stop),    gone (in vanish): the session's  extra.gone or ErrNotFound;
//	          startFailed, releaseID     goroutine                        a start waits for the end
//	gone      gone, Forget, leaveTo,     never                            extra.gone or ErrNotFound
//	          loses
//
// The order of the values matters. From phaseRenewed on, no more messages are accepted, and
// from phaseSealed on, timers do not fire. The session's goroutine may still run a handler in
// every phase but gone. The function that changes the phase takes the messages that wait and
// answers them after it has unlocked mu; the caller of the present handler is answered when
// the handler returns, or at once if its result will not count.
type phase uint8

const (
	phaseStarting phase = iota // the start function waits or runs
	phaseLive
	phaseRenewed     // the session goes on under another ID; this is a mark
	phaseQuarantined // no code of its kind runs; see trial
	phaseSealed      // the session is on its way to another node, or to another ID
	phaseEnding      // the last handler or the end handler runs
	phaseGone        // not in the table any more
)

// runsLocked reports whether the session makes records when it is idle.
func (p *process) runsLocked() bool {
	return p.phase == phaseLive || p.phase == phaseRenewed || p.phase == phaseQuarantined
}

// stoppingLocked reports whether Stop was called, so that the present handler
// is the last one.
func (p *process) stoppingLocked() bool {
	return p.phase == phaseLive && p.ext != nil && p.ext.reason != ""
}
