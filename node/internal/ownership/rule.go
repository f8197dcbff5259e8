package ownership

// A rule is a condition without which the machine breaks a promise of the
// package. The name in parentheses is that of the test that switches the rule
// off and finds a trace to the fault. Only tests switch rules off.
type rule uint64

const (
	rulePromiseFirst rule = 1 << iota // a session moves only to a node that has the token (V1)
	ruleAsksAll                       // promise only to a claimer that asks everybody I see (V2)
	ruleOffer                         // a node offers to the owner what is not its own (V3, V10)
	ruleShelve                        // a sealed copy whose target is gone becomes a backup (V4)
	ruleAccepted                      // the target remembers what it accepted (V5)
	ruleSpent                         // a claim id that was let go is never honoured again (V6)
	ruleBye                           // leave only when the others know one another (V7)
	ruleJoin                          // claim only when a member has confirmed my view (V7)
	ruleForgot                        // the source confirms that it processed an Active (V12)
	ruleEvery                         // full for a session only with an answer of every member that is asked (F1)
	ruleRefused                       // the target remembers what it refused (F3)
	ruleKept                          // a session that stays elsewhere is not started here (F4)
	ruleMark                          // a refused session is not sealed again under the same id (F5)
	rulePoll                          // ask again about sessions that stay elsewhere (F6)
	ruleOfferKept                     // offer also sessions that stay here (F7)
	ruleOfferOnce                     // such an offer does not start a new claim (F8)
	ruleStale                         // a stale list of kept sessions does not bring one back (F10)
	ruleTomb                          // an ended session leaves a tombstone while a copy may exist

	ruleAcked        // a change is acknowledged when the standbys have it (T0)
	ruleActive       // a session that moves is given up when its new standbys are made (T1)
	ruleKeepReported // a standby stays when it is reported (T2)
	ruleFence        // who reports obeys nobody else (T3)
	ruleRel          // whom the partition is promised to may write (T4)
	ruleWriter       // only the writer may discard (T5)
	ruleStamp        // what belongs to an earlier claim does not count (T6)
	ruleRid          // nor does what was said before its sender was rid of its copies, or promised (T26)
	ruleWiden        // all are asked when one goes before it has reported (T7)
	ruleKnown        // standbys are at members that all know (T7b)
	ruleBack         // a session that comes back while it is sealed for its sender runs (T9)
	ruleEndWaits     // a tombstone is kept until nobody has a standby (T10)
	ruleDiscardLate  // a standby is discarded when others are made (T11)
	ruleLeave        // a node leaves when no standby is there (T12)
	ruleEach         // what one standby has acknowledged does not count for another (T13)
	ruleHeirAsks     // the heir asks before it promotes (T14)
	ruleOfferStandby // standbys that the owner does not write are offered to it (T15)
	ruleVoid         // who cannot report says so (T16)
	ruleClearStamp   // a standby was discarded only under the present claim (S9a)
	ruleDisclaim     // who holds a partition no more forgets what was reported
	ruleRelieved     // a standby without successor stays at a draining member until this node knows who has joined
	ruleFind         // who answers that it has no standby obeys nobody else for that session (S18)
	ruleKeeper       // where a session stays its keeper writes its standbys (S19)
	ruleRecovers     // a claimer that does not recover gets no standbys (S17)
	ruleKeeperGone   // when a member goes, the others report anew what it may have written (S19)
	ruleDeadKeeps    // a standby without successor stays at a member that counts as dead (T22)
	ruleLate         // an answer does not count after the member has been away (T23)
	ruleGoneHolds    // a member that is gone may come back with its standby (S9b, S16)
	ruleHears        // a member is told to discard once it has reported (T27)
	ruleUnseen       // what is at a target is joined before all members have reported (T24)
	ruleMore         // what comes to a member that was done is offered before that reports its standbys (T25)
	ruleJoined       // nothing is acknowledged before a standby that is here too is joined (T21)
)
