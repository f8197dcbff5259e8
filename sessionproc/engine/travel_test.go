package engine_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// errAway is what messages get of a session that is on its way.
var errAway = errors.New("it is on its way")

// take seals a session and returns its snapshot.
func take(t testing.TB, l *local, id string) ([]byte, error) {
	t.Helper()
	type taken struct {
		b   []byte
		err error
	}
	done := make(chan taken, 1)
	require.True(t, l.table.Seal(part(id), id, errAway, func() bool { return true },
		func(b []byte, err error) { done <- taken{b, err} }))
	got := <-done
	return got.b, got.err
}

// travel moves a session to another table.
func travel(t testing.TB, from, to *local, id string) {
	t.Helper()
	b, err := take(t, from, id)
	require.NoError(t, err)
	require.NoError(t, land(to, id, b))
	from.table.Forget(part(id), id, nil)()
}

// land restores a snapshot in a table.
func land(to *local, id string, b []byte) error {
	r, err := to.table.Restore(part(id), id, b)
	if err != nil {
		return err
	}
	return r.Insert()
}

// Releases of one kind, "cart". A release has a state type of its own, and all
// have the same tokens.
var (
	carts   = sessionproc.KindOf[sessionproc.None]("cart")
	look    = sessionproc.MethodOf[sessionproc.None, string](carts, "look")
	remark  = sessionproc.NoticeOf[string](carts, "remark")
	reorder = sessionproc.MethodOf[[]time.Duration, sessionproc.None](carts, "reorder")
)

// state is what a release's state can do.
type state[S any] interface {
	*S
	look() string
	remark(string)
}

// release makes a kind of a release.
func release[S any, P state[S]](first S, cfg sessionproc.KindConfig) sessionproc.AnyKind {
	k := sessionproc.NewKind(carts, func(context.Context, sessionproc.None) (*S, error) { s := first; return &s, nil },
		cfg)
	sessionproc.HandleCall(k, look, func(s *S, _ context.Context, _ sessionproc.None) (string,
		error) {
		return P(s).look(), nil
	})
	sessionproc.HandleCast(k, remark, func(s *S, _ context.Context, m string) error { P(s).remark(m); return nil })
	sessionproc.HandleCall(k, reorder, func(_ *S, ctx context.Context, after []time.Duration) (sessionproc.None, error) {
		for _, d := range after {
			remark.After(ctx, d, d.String())
		}
		return sessionproc.None{}, nil
	})
	return k
}

type cartV1 struct {
	Items []string
	Old   string `msgpack:"old,alias:older"`
}

func (c *cartV1) look() string    { return strings.Join(c.Items, ",") }
func (c *cartV1) remark(m string) { c.Items = append(c.Items, m) }

// cartV2 has more, at the top and further down.
type cartV2 struct {
	Items  []string
	Old    string `msgpack:"old,alias:older"`
	Coupon map[string]int
	Shipping
	Gift *Shipping
}

type Shipping struct {
	Street string
	At     time.Time
}

func (c *cartV2) look() string {
	b, err := msgpack.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
func (c *cartV2) remark(m string) { c.Items = append(c.Items, m) }

func newV2() cartV2 {
	at := time.Unix(1_700_000_000, 5)
	return cartV2{Items: []string{"tea"}, Coupon: map[string]int{"a": 1}, Shipping: Shipping{"High Street", at},
		Gift: &Shipping{"Low Street", at}}
}

func lookAt(t testing.TB, l *local, id string) string {
	t.Helper()
	got, err := look.Call(t.Context(), l, id, sessionproc.None{})
	require.NoError(t, err)
	return got
}

// An older release keeps what a newer one has added, however often it moves.
func TestUnknownFieldsSurviveAnOlderRelease(t *testing.T) {
	v2, v1, again, back := newLocal(t, release(newV2(), sessionproc.KindConfig{})), newLocal(t,
		release(cartV1{}, sessionproc.KindConfig{})),
		newLocal(t, release(cartV1{}, sessionproc.KindConfig{})), newLocal(t, release(cartV2{}, sessionproc.KindConfig{}))
	require.NoError(t, carts.Start(t.Context(), v2, "a", sessionproc.None{}))
	require.NoError(t, remark.Cast(t.Context(), v2, "a", "cup"))
	want := lookAt(t, v2, "a")
	travel(t, v2, v1, "a")
	require.Equal(t, "tea,cup", lookAt(t, v1, "a"))
	require.Zero(t, v2.table.Len())
	travel(t, v1, again, "a")
	travel(t, again, back, "a")
	require.Equal(t, want, lookAt(t, back, "a"))
}

func TestSnapshotOfAnotherSchemaIsMigratedOrRefused(t *testing.T) {
	shelve := func(t *testing.T, schema int) []byte {
		l := newLocal(t, release(cartV1{Items: []string{"tea"}}, sessionproc.KindConfig{Schema: schema}))
		require.NoError(t, carts.Start(t.Context(), l, "a", sessionproc.None{}))
		b, err := take(t, l, "a")
		require.NoError(t, err)
		return b
	}
	up := func(from int, old cartV1) (*cartV1, error) {
		switch {
		case from != 1:
			return nil, errors.New("no way from there")
		case old.Items[0] == "":
			panic("no first item")
		}
		return &cartV1{Items: append(old.Items, "migrated")}, nil
	}
	t.Run("a lower one refuses", func(t *testing.T) {
		l := newLocal(t, release(cartV1{}, sessionproc.KindConfig{Schema: 1}))
		err := land(l, "a", shelve(t, 2))
		require.ErrorIs(t, err, sessionproc.ErrUnsupported)
		require.ErrorContains(t, err, `kind "cart"`)
		require.Zero(t, l.table.Live("cart"))
	})
	t.Run("a higher one migrates", func(t *testing.T) {
		l := newLocal(t, release(cartV1{}, sessionproc.KindConfig{Schema: 2, Migrate: sessionproc.MigrateFrom(up)}))
		require.NoError(t, land(l, "a", shelve(t, 1)))
		require.Equal(t, "tea,migrated", lookAt(t, l, "a"))
		require.NoError(t, land(l, "b", shelve(t, 2)))
		require.Equal(t, "tea", lookAt(t, l, "b"), "one of the same schema is left alone")
		require.ErrorContains(t, land(l, "c", shelve(t, 0)), "no way from there")
	})
	t.Run("without Migrate it decodes as it is", func(t *testing.T) {
		l := newLocal(t, release(cartV1{}, sessionproc.KindConfig{Schema: 2}))
		require.NoError(t, land(l, "a", shelve(t, 1)))
		require.Equal(t, "tea", lookAt(t, l, "a"))
	})
	t.Run("a panic refuses", func(t *testing.T) {
		var log bytes.Buffer
		l := newLocalWith(t, func(cfg *engine.TableConfig) {
			cfg.Node, cfg.Logger = "b", slog.New(slog.NewTextHandler(&log, nil))
		}, release(cartV1{}, sessionproc.KindConfig{Schema: 2, Migrate: func(int, []byte) ([]byte,
			error) {
			panic("the secret")
		}}))
		requireContained(t, land(l, "a", shelve(t, 1)), &log, "the secret")
	})
	t.Run("nonsense is refused", func(t *testing.T) {
		_, err := engine.Contract(release(cartV1{}, sessionproc.KindConfig{Schema: -1}))
		require.ErrorContains(t, err, `kind "cart"`)
		require.ErrorContains(t, err, "KindConfig.Schema")
	})
}

// requireContained wants an error that tells node, kind and a reference, under
// which the log has the text of a panic.
func requireContained(t *testing.T, err error, log *bytes.Buffer, text string) {
	t.Helper()
	require.ErrorContains(t, err, "panicked")
	require.ErrorContains(t, err, `kind "cart"`)
	require.ErrorContains(t, err, "node b")
	require.NotContains(t, err.Error(), text)
	require.Contains(t, log.String(), text)
	reference := err.Error()[strings.LastIndexByte(err.Error(), ' ')+1:]
	require.Contains(t, log.String(), "reference="+reference)
}

// cartOwn codes itself, and not always well.
type cartOwn struct{ Text string }

func (c *cartOwn) look() string    { return c.Text }
func (c *cartOwn) remark(m string) { c.Text += m }

func (c *cartOwn) MarshalState() ([]byte, error) {
	switch c.Text {
	case "fails":
		return nil, errors.New("no ink")
	case "panics":
		panic("the secret")
	}
	return []byte("own:" + c.Text), nil
}

func (c *cartOwn) UnmarshalState(b []byte) error {
	text, ok := strings.CutPrefix(string(b), "own:")
	switch {
	case !ok:
		return errors.New("not mine")
	case text == "explodes":
		panic("the secret")
	}
	c.Text = text
	return nil
}

func TestStateWithItsOwnCodingMoves(t *testing.T) {
	table := func(t *testing.T, text string) (*local, *bytes.Buffer) {
		log := new(bytes.Buffer)
		return newLocalWith(t, func(cfg *engine.TableConfig) {
			cfg.Node, cfg.Logger = "b", slog.New(slog.NewTextHandler(log, nil))
		}, release(cartOwn{Text: text}, sessionproc.KindConfig{})), log
	}
	t.Run("they move", func(t *testing.T) {
		a, _ := table(t, "tea")
		b, _ := table(t, "")
		require.NoError(t, carts.Start(t.Context(), a, "a", sessionproc.None{}))
		travel(t, a, b, "a")
		require.Equal(t, "tea", lookAt(t, b, "a"))
	})
	for text, check := range map[string]func(t *testing.T, err error, log *bytes.Buffer){
		"fails":  func(t *testing.T, err error, _ *bytes.Buffer) { require.ErrorContains(t, err, "no ink") },
		"panics": func(t *testing.T, err error, log *bytes.Buffer) { requireContained(t, err, log, "the secret") },
	} {
		t.Run("one that "+text+" stays", func(t *testing.T) {
			l, log := table(t, text)
			require.NoError(t, carts.Start(t.Context(), l, "a", sessionproc.None{}))
			_, err := take(t, l, "a")
			require.ErrorContains(t, err, `kind "cart"`)
			check(t, err, log)
			_, err = look.Call(t.Context(), l, "a", sessionproc.None{})
			require.ErrorIs(t, err, errAway)
			l.table.Resume(part("a"), "a")
			require.Equal(t, text, lookAt(t, l, "a"))
		})
	}
	t.Run("one that the other node cannot read is refused", func(t *testing.T) {
		a, _ := table(t, "explodes")
		b, log := table(t, "")
		require.NoError(t, carts.Start(t.Context(), a, "a", sessionproc.None{}))
		snapshot, err := take(t, a, "a")
		require.NoError(t, err)
		requireContained(t, land(b, "a", snapshot), log, "the secret")
		require.Zero(t, b.table.Live("cart"))
		a.table.Resume(part("a"), "a")
		require.Equal(t, "explodes", lookAt(t, a, "a"))
	})
}

// edited returns a snapshot with some of its fields set anew.
func edited(t testing.TB, snapshot []byte, fields map[string]any) []byte {
	t.Helper()
	var all map[string]any
	require.NoError(t, msgpack.Unmarshal(snapshot, &all))
	for name, value := range fields {
		all[name] = value
	}
	b, err := msgpack.Marshal(all)
	require.NoError(t, err)
	return b
}

// A later release may add to what travels.
func TestSnapshotOfALaterReleaseIsReadUnlessCritical(t *testing.T) {
	a, b := newLocal(t, release(cartV1{Items: []string{"tea"}}, sessionproc.KindConfig{})), newLocal(t,
		release(cartV1{}, sessionproc.KindConfig{}))
	require.NoError(t, carts.Start(t.Context(), a, "a", sessionproc.None{}))
	snapshot, err := take(t, a, "a")
	require.NoError(t, err)

	err = land(b, "a", edited(t, snapshot, map[string]any{"Critical": []string{"Kind", "Aliases"},
		"Aliases": []string{"1"}}))
	require.ErrorIs(t, err, sessionproc.ErrUnsupported)
	require.ErrorContains(t, err, "Aliases")
	require.NoError(t, land(b, "a", edited(t, snapshot, map[string]any{"Critical": []string{"Kind", "State"},
		"Aliases": 3})))
	require.Equal(t, "tea", lookAt(t, b, "a"))
	require.ErrorIs(t, land(b, "b", edited(t, snapshot, map[string]any{"Kind": "order"})), sessionproc.ErrUnknownKind)
}

// A session that cannot move ends, after its present handler.
func TestEndOnMoveEndsASessionAfterItsHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := make(chan sessionproc.Reason, 1)
		l := newScripted(t, script{kind: sessionproc.KindConfig{EndOnMove: true},
			do:  func(_ context.Context, r string) (string, error) { time.Sleep(time.Second); return r, nil },
			end: func(_ context.Context, reason sessionproc.Reason) { ended <- reason }})
		l.start(t, "a", "b")
		running, queued := doing(t.Context(), l, "a", "x"), (<-chan error)(nil)
		time.Sleep(time.Millisecond)
		queued = doing(t.Context(), l, "a", "y")
		time.Sleep(time.Millisecond)
		for _, id := range []string{"a", "b"} {
			require.False(t, l.table.Seal(part(id), id, errAway, func() bool { t.Error("asked"); return true }, nil))
		}
		require.Equal(t, sessionproc.ReasonMoved, <-ended, "the idle one, at once")
		require.NoError(t, <-running)
		require.ErrorIs(t, <-queued, sessionproc.ErrTerminated)
		require.Equal(t, sessionproc.ReasonMoved, <-ended)
		_, err := do.Call(t.Context(), l, "a", "z")
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
	})
}

// FuzzRestore feeds a table with foreign snapshots.
func FuzzRestore(f *testing.F) {
	l := newLocal(f, release(cartV1{Items: []string{"tea"}}, sessionproc.KindConfig{}))
	require.NoError(f, carts.Start(f.Context(), l, "a", sessionproc.None{}))
	_, err := reorder.Call(f.Context(), l, "a", []time.Duration{time.Hour})
	require.NoError(f, err)
	seed, err := take(f, l, "a")
	require.NoError(f, err)
	f.Add(seed)
	f.Add(edited(f, seed, map[string]any{"Critical": []string{"Aliases"}}))
	for _, reply := range []map[string]any{{"Key": make([]byte, 16), "Ago": 5}, {"Key": "x", "Ago": -1}} {
		f.Add(edited(f, seed, map[string]any{"Dedup": map[string]any{"Forgot": 1, "Replies": []any{reply}}}))
	}
	f.Add(edited(f, seed, map[string]any{"State": []byte{0x81, 0xa3, 'N', 'e', 'w', 0xc3}}))
	for _, cast := range []int{1, 0, 9} {
		f.Add(edited(f, seed, map[string]any{
			"Casts": []any{map[string]any{"Method": "remark", "Payload": []byte{0xa1, 'x'}, "Own": 3}},
			"Tasks": []any{map[string]any{"Name": "x", "ID": "y", "Cast": cast, "Came": true, "Runner": "n/1", "Runs": 1}},
		}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := l.table.Restore(part("b"), "b", b); err == nil {
			r.Discard()
		}
	})
}
