package ownership

// A rule is a condition without which the machine breaks a promise of the
// package. The name in parentheses is that of the test that switches the rule
// off and finds a trace to the fault. Only tests switch rules off.
type rule uint32

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
)
