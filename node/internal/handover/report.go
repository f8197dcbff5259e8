package handover

import (
	"context"
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/node/internal/teststep"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// A member that has standbys of a partition reports them to its new holder, without their
// contents: the holder has most of them itself, and fetches the others (fetch.go). It opens a stream
// with the header [reportRelease, to] and sends frames of a length in four bytes and an array:
//
//	[partition, id, round, session, last, [[session, kind, form, version, life, milliseconds, [hold...]], ...]]
//
// A report of one session names it; else session is "", and the frame with last is the end of the report.

const (
	reportRelease  = 3
	reportedAtOnce = 256
	mostFrame      = 1 << 20 // bytes of a frame; a standby's entry is far smaller
)

// reportLocked executes the effect Report. Reports that are lost are asked for again.
func (d *Driver) reportLocked(e *ownership.Effect) {
	q, runs := d.dues[e.To]
	put(&d.dues, e.To, append(q, due{e.Partition, e.ID, e.Round, e.Session}))
	if to := e.To; !runs {
		d.later = append(d.later, func() { d.life.Go(func() { d.report(to) }) })
	}
}

// report sends reports to a member until no more are due.
func (d *Driver) report(to string) {
	for {
		d.mu.Lock()
		some := d.dues[to]
		if len(some) == 0 {
			delete(d.dues, to)
			d.mu.Unlock()
			return
		}
		d.dues[to] = nil
		d.mu.Unlock()
		if err := d.sendReports(to, some); err != nil {
			d.env.Log.Debug("standbys could not be reported; they will be asked for again", "peer", to, "err", err)
		}
	}
}

var errUnknownMember = errors.New("the member is not known")

func (d *Driver) sendReports(to string, some []due) error {
	ctx, cancel := context.WithTimeout(d.ctx, sendTimeout)
	defer cancel()
	addr := d.Addr(to)
	if addr == "" {
		return errUnknownMember
	}
	header := wire.AppendString(wire.AppendUint(wire.AppendArrayLen(nil, 2), reportRelease), to)
	st, err := d.transport.Peer(addr).Open(ctx, header)
	if err != nil {
		return err
	}
	defer st.Close("")
	out := chunked{send: func(b []byte) error { return st.Send(ctx, b) }}
	for _, u := range some {
		d.appendReport(&out, u)
	}
	if err := out.flush(); err != nil {
		return err
	}
	d.step(teststep.ReportSent, to)
	_ = st.CloseSend()
	_, err = st.Recv(ctx) // until the other side has it all, and closes
	return err
}

// appendReport appends the frames of one report.
func (d *Driver) appendReport(out *chunked, u due) {
	frame := func(last bool, entries []byte, n int) {
		b := wire.AppendUint(wire.AppendArrayLen(out.begin(), 6), uint64(u.part))
		b = wire.AppendUint(wire.AppendUint(b, u.id), u.round)
		b = wire.AppendBool(wire.AppendString(b, u.session), last)
		b = append(wire.AppendArrayLen(b, n), entries...)
		out.end(b)
	}
	if u.session != "" {
		if s, ok := d.standbys.Find(u.part, u.session); ok {
			frame(true, appendEntry(nil, u.session, s), 1)
		}
		return
	}
	var entries []byte
	n := 0
	for session, s := range d.standbys.All(u.part) {
		if entries, n = appendEntry(entries, session, s), n+1; n == reportedAtOnce {
			frame(false, entries, n)
			entries, n = entries[:0], 0
		}
	}
	frame(true, entries, n)
}

func appendEntry(b []byte, session string, s standby.Standby) []byte {
	b = wire.AppendString(wire.AppendString(wire.AppendArrayLen(b, 7), session), s.Kind())
	b = wire.AppendBytes(wire.AppendUint(b, uint64(s.Form())), s.Version())
	b = wire.AppendUint(wire.AppendBytes(b, s.Life()), uint64(s.Age().Milliseconds()))
	hold := s.Hold()
	b = wire.AppendArrayLen(b, len(hold))
	for _, name := range hold {
		b = wire.AppendString(b, name)
	}
	return b
}

// hearReports takes the reports of a member.
func (d *Driver) hearReports(st *transport.Stream) error {
	in := framed{recv: func() ([]byte, error) { return st.Recv(d.ctx) }, most: mostFrame}
	for {
		r, err := in.next()
		if err != nil {
			return err
		}
		if err := d.hearReport(st.Peer(), &r); err != nil {
			return err
		}
	}
}

func (d *Driver) hearReport(from string, r *wire.Reader) error {
	n, part, id, round := r.ArrayLen(), r.Uint(), r.Uint(), r.Uint()
	session, last := string(r.Str()), r.Bool()
	some := map[string]reported{}
	for range r.ArrayLen() {
		name, one := readEntry(r, from)
		some[name] = one
	}
	if r.Err() != nil || n < 6 || part >= uint64(len(d.parts)) {
		return errors.New("unknown format of a report")
	}
	for name, one := range some {
		if err := d.checkEntry(int(part), session, name, &one); err != nil {
			return err
		}
	}
	d.step(teststep.ReportHeard, from)
	d.Turn(int(part), func(m *ownership.Machine) []ownership.Effect {
		pt := &d.parts[part]
		switch {
		case !m.Awaits(int(part), from, id, round, session):
			return nil
		case session != "":
			pt.reports.add(session, some[session])
		case !pt.reports.note(from, id, round, some, last):
			return nil
		}
		return m.Reported(int(part), from, id, round, session)
	})
	if session != "" {
		d.promoteFirst(int(part), session)
	}
	return nil
}

func (d *Driver) checkEntry(part int, session, name string, one *reported) error {
	switch {
	case sessionproc.ValidID(name) != nil || d.env.Routes().Ring.Partition(name) != part,
		session != "" && name != session:
		return errors.New("a report of a session of another partition")
	case one.form > ownership.Ended:
		return errors.New("a report of a standby of an unknown form")
	}
	return nil
}

func readEntry(r *wire.Reader, from string) (session string, one reported) {
	n := r.ArrayLen()
	session, one.from, one.kind = string(r.Str()), from, string(r.Str())
	one.form = ownership.Form(min(r.Uint(), 255))
	one.version, one.life = cloned(r.Bytes()), cloned(r.Bytes())
	one.came = time.Now().Add(-time.Duration(min(r.Uint(), uint64(24*time.Hour*365/time.Millisecond))) * time.Millisecond)
	for range r.ArrayLen() {
		one.hold = append(one.hold, string(r.Str()))
	}
	for ; n > 7; n-- {
		r.Skip()
	}
	return session, one
}
