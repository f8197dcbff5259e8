package handover

import (
	"context"
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// A session that does not fit into a message and gets a new ID is fetched by the owner of
// that, over the connection that hand-overs use: it opens a stream that names the session
// in its header, and is sent the snapshot in chunks.

// largeRelease is, in the place of laneRelease, the release of such a stream. A release
// that does not know it closes the stream.
const largeRelease = 2

// FetchLarge implements TableConfig.FetchLarge.
func (d *Driver) FetchLarge(ctx context.Context, member string, key []byte, size int) ([]byte, error) {
	if size <= 0 || size > engine.MaxSnapshot {
		return nil, fmt.Errorf("%w: a session of %d bytes", sessionproc.ErrBadRequest, size)
	}
	if err := d.fetches.Acquire(ctx, int64(size)); err != nil {
		return nil, fmt.Errorf("%w: too many large sessions come at once: %w", sessionproc.ErrUnavailable, err)
	}
	defer d.fetches.Release(int64(size))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	b, err := d.receiveLarge(ctx, member, key, size)
	if err != nil {
		return nil, fmt.Errorf("%w: its %d bytes could not be fetched: %w", sessionproc.ErrUnavailable, size, err)
	}
	return b, nil
}

func (d *Driver) receiveLarge(ctx context.Context, member string, key []byte, size int) ([]byte, error) {
	addr := d.Addr(member)
	if addr == "" {
		return nil, fmt.Errorf("%s is not known", member)
	}
	header := wire.AppendArrayLen(nil, 3)
	header = wire.AppendUint(header, largeRelease)
	header = wire.AppendString(header, member)
	header = wire.AppendBytes(header, key)
	st, err := d.transport.Peer(addr).Open(ctx, header)
	if err != nil {
		return nil, err
	}
	defer st.Close("")
	var b []byte // it grows with what comes, not with what is said
	for len(b) < size {
		chunk, err := st.Recv(ctx)
		if err != nil {
			return nil, err
		}
		b = append(b, chunk...)
	}
	if len(b) > size {
		return nil, fmt.Errorf("%d bytes came", len(b))
	}
	return b, nil
}

// giveLarge sends the snapshot that is kept under key, within HandoffBytesPerSecond. Its
// last chunk leaves only if the renewal still waits.
func (d *Driver) giveLarge(st *transport.Stream, key []byte) error {
	l := d.table.Large(key)
	if l == nil {
		return errors.New("no session is kept under that key")
	}
	for b := l.Snapshot(); len(b) > 0; {
		n := min(len(b), transport.MaxChunk)
		if n == len(b) && !l.Give() {
			return errors.New("the session keeps its ID")
		}
		if err := d.sendChunk(st, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	_ = st.CloseSend()
	_, err := st.Recv(d.ctx) // until the other side has it all, and closes
	return err
}

func (d *Driver) sendChunk(st *transport.Stream, b []byte) error {
	ctx, cancel := context.WithTimeout(d.ctx, sendTimeout)
	defer cancel()
	if err := d.bound.wait(ctx, len(b)); err != nil {
		return err
	}
	return st.Send(ctx, b)
}
