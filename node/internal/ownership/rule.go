package ownership

// rule names what keeps the machine from a mistake that an earlier wording made. A
// test switches one off and must then see the mistake; nothing else may.
type rule uint32

const (
	rulePromiseFirst rule = 1 << iota // a session moves only to a node that has the token (V1)
	ruleAsksAll                       // promise only to a claimer that asks everybody I see (V2)
	ruleOffer                         // who has what is not its own offers it to the owner (V3, V10)
	ruleShelve                        // a sealed copy whose target is gone becomes a backup (V4)
	ruleAccepted                      // the target remembers what it accepted (V5)
	ruleSpent                         // an id that was let go is never honoured again (V6)
	ruleBye                           // leave when the others know one another (V7)
	ruleJoin                          // claim when a member has confirmed what I see (V7)
	ruleForgot                        // the source says that it processed an Active (V12)
	ruleEvery                         // full for a session needs an answer of every member that is asked (F1)
	ruleRefused                       // the target remembers what it refused (F3)
	ruleKept                          // a session that stays elsewhere is not started (F4)
	ruleMark                          // a refused session is not sealed again under the same id (F5)
	rulePoll                          // ask again for what stays elsewhere (F6)
	ruleOfferKept                     // offer also what stays here (F7)
	ruleOfferOnce                     // such an offer does not start a new claim (F8)
	ruleStale                         // a stale list does not bring a session back (F10)
	ruleTomb                          // an ended session leaves a tombstone while a copy may be about
)

func (s *shared) on(r rule) bool { return s.off&r == 0 }
