package ownership

// tell sends m, unless this turn ends in repeat, which sends it anyway.
func (t *turn) tell(to string, m Message) {
	if !t.again {
		t.send(to, m)
	}
}

func (t *turn) send(to string, m Message) {
	m.Partition = t.number
	t.out = append(t.out, Effect{Do: Send, Partition: t.number, To: to, Message: m})
}

func (t *turn) do(what Do, session string) {
	t.out = append(t.out, Effect{Do: what, Partition: t.number, Session: session})
}

func (t *turn) transfer(s sealed) {
	t.out = append(t.out, Effect{Do: Transfer, Partition: t.number, To: s.to, ID: s.id, Session: s.session, Form: s.form,
		Replicated: s.replicated})
}
