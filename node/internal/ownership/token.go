package ownership

// promise binds the partition to a claim, or to none. Copies that are sealed
// for another claim and not sent run on: no other node has them.
func (t *turn) promise(to release) {
	t.rel, t.relAsks, t.kept = to, nil, roll[Kept]{}
	t.epoch++
	for _, s := range t.sealed.those(func(s *sealed) bool { return !s.sent }) {
		t.resume(s, false)
	}
}

// letGo voids the claim or the token of this node.
func (t *turn) letGo() {
	if t.tok == held && t.keeps && t.on(ruleDisclaim) {
		t.do(Disclaim, "")
	}
	t.tok = none
	for i := range t.peers {
		t.peers[i].set(unasked, 0)
	}
}

// askAgain claims from a member that was asked before. The answer to the
// earlier claim does not count any more.
func (t *turn) askAgain(name string) {
	t.last++
	t.ask(name, t.last)
}

// ask claims the partition from a member, under a fresh id.
func (t *turn) ask(name string, id uint64) {
	q := t.meet(name)
	q.set(asked, id)
	t.woke = true
	t.tell(name, t.claim(id))
}

func (t *turn) claim(id uint64) Message {
	return Message{Kind: Claim, ID: id, Names: t.asks, Flag: t.keeps}
}
