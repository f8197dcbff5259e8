package handover

import (
	"context"
	"errors"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/teststep"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// The holder of a partition fetches standbys that another member has reported. It opens a stream with the header
// [fetchRelease, to, partition], sends [session, ...] and gets a frame for each, as in a report:
//
//	[session, version, body]
//
// An empty body says that the standby is not there any more: this node has had it discarded since.

const (
	fetchRelease = 4
	fetchTimeout = 5 * time.Second
)

// fetchStandbys fetches the standbys of sessions at a member, and returns how many came.
func (d *Driver) fetchStandbys(member string, part int, sessions []string) (came int) {
	ctx, cancel := context.WithTimeout(d.ctx, fetchTimeout)
	defer cancel()
	addr := d.Addr(member)
	if addr == "" {
		return 0
	}
	header := wire.AppendString(wire.AppendUint(wire.AppendArrayLen(nil, 3), fetchRelease), member)
	st, err := d.transport.Peer(addr).Open(ctx, wire.AppendUint(header, uint64(part)))
	if err == nil {
		defer st.Close("")
		came, err = d.receiveStandbys(ctx, st, member, part, sessions)
	}
	if err != nil {
		d.env.Log.Debug("standbys could not be fetched; retrying", "peer", member, "err", err)
	}
	return came
}

func (d *Driver) receiveStandbys(ctx context.Context, st *transport.Stream, member string, part int,
	sessions []string) (came int, err error) {
	ask := wire.AppendArrayLen(nil, len(sessions))
	for _, session := range sessions {
		ask = wire.AppendString(ask, session)
	}
	if err := st.Send(ctx, ask); err != nil {
		return 0, err
	}
	d.step(teststep.FetchSent, member)
	in := framed{recv: func() ([]byte, error) { return st.Recv(ctx) }, most: engine.MaxSnapshot + mostFrame}
	for range sessions {
		r, err := in.next()
		if err != nil {
			return came, err
		}
		d.step(teststep.FetchAnswered, member)
		n, session, version, body := r.ArrayLen(), string(r.Str()), r.Bytes(), r.Bytes()
		if r.Err() != nil || n < 3 {
			return came, errors.New("unknown format of a standby")
		}
		if d.fetched(member, part, session, version, body) {
			came++
		}
	}
	return came, nil
}

// fetched notes the content of a standby that was reported.
func (d *Driver) fetched(member string, part int, session string, version, body []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	pt := &d.parts[part]
	for _, one := range pt.reports.of[session] {
		switch {
		case one.from != member:
		case len(body) == 0:
			pt.reports.drop(session, member)
			return true
		case engine.VersionCovers(version, one.version):
			one.body = cloned(body)
			pt.reports.add(session, one)
			return true
		}
	}
	return false
}

// giveStandbys serves a stream of another member that fetches standbys.
func (d *Driver) giveStandbys(st *transport.Stream, part uint64) error {
	if part >= uint64(len(d.parts)) || d.standbys == nil {
		return errors.New("unknown partition")
	}
	for {
		ask, err := st.Recv(d.ctx)
		if err != nil {
			return err
		}
		r := wire.NewReader(ask)
		out := chunked{send: func(b []byte) error {
			ctx, cancel := context.WithTimeout(d.ctx, sendTimeout)
			defer cancel()
			return st.Send(ctx, b)
		}}
		for n := r.ArrayLen(); n > 0 && r.Err() == nil; n-- {
			session := string(r.Str())
			b := wire.AppendString(wire.AppendArrayLen(out.begin(), 3), session)
			s, ok := d.standbys.Find(int(part), session)
			if !ok || s.Form() != ownership.Running {
				out.end(wire.AppendBytes(wire.AppendBytes(b, nil), nil))
				continue
			}
			out.end(wire.AppendBytes(wire.AppendBytes(b, s.Version()), s.Body()))
		}
		if r.Err() != nil {
			return r.Err()
		}
		d.step(teststep.FetchHeard, st.Peer())
		if err := out.flush(); err != nil {
			return err
		}
	}
}
