package workload

import "sync"

// pool is the plainest possible table of sessions, the floor to compare with: a
// map under a lock, one goroutine and one buffered channel per session. It
// keeps no promise that a library has to keep: no deadline, no bound that
// refuses, no recovery, no copy of what is sent.
type pool struct {
	mu       sync.RWMutex
	sessions map[string]*bareSession // guarded by mu
}

type bareSession struct {
	in    chan bareMessage
	count int64
}

type bareMessage struct {
	payload []byte
	op      byte
	n       int64
	reply   chan bareMessage
	done    func(reply []byte) // used instead of reply when set
}

const (
	bareCall byte = iota
	bareCast
	bareCount
)

func newPool() *pool { return &pool{sessions: map[string]*bareSession{}} }

func (p *pool) start(id string) *bareSession {
	s := &bareSession{in: make(chan bareMessage, 16)}
	p.mu.Lock()
	p.sessions[id] = s
	p.mu.Unlock()
	go s.loop()
	return s
}

func (p *pool) find(id string) *bareSession {
	p.mu.RLock()
	s := p.sessions[id]
	p.mu.RUnlock()
	return s
}

// findOrStart serves the multiplexer, whose server is not told what to start.
func (p *pool) findOrStart(id string) *bareSession {
	if s := p.find(id); s != nil {
		return s
	}
	return p.start(id)
}

// clear ends every session.
func (p *pool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, s := range p.sessions {
		close(s.in)
		delete(p.sessions, id)
	}
}

func (s *bareSession) loop() {
	for m := range s.in {
		switch {
		case m.done != nil:
			m.done(m.payload)
		case m.op == bareCall:
			m.reply <- bareMessage{payload: m.payload}
		case m.op == bareCast:
			s.count++
		default:
			m.reply <- bareMessage{n: s.count}
		}
	}
}

var bareReplies = sync.Pool{New: func() any { return make(chan bareMessage, 1) }}

func (s *bareSession) call(m bareMessage) bareMessage {
	reply := bareReplies.Get().(chan bareMessage)
	m.reply = reply
	s.in <- m
	r := <-reply
	bareReplies.Put(reply)
	return r
}
