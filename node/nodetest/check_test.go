package nodetest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// verdict is a test that keeps its failures.
type verdict struct {
	testing.TB
	errs []string
}

func (v *verdict) Helper() {}
func (v *verdict) Errorf(format string, args ...any) {
	v.errs = append(v.errs, fmt.Sprintf(format, args...))
}
func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	runtime.Goexit()
}

// failures runs f with a test of its own and returns what it complained of.
func failures(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	v := &verdict{TB: t}
	var done sync.WaitGroup
	done.Go(func() { f(v) })
	done.Wait()
	return strings.Join(v.errs, "\n")
}

// check runs CheckKind in update mode or not.
func check(t *testing.T, kind sessionproc.AnyKind, dir string, update bool, samples ...any) string {
	t.Helper()
	require.NoError(t, flag.Set("nodetest.update", fmt.Sprint(update)))
	defer func() { require.NoError(t, flag.Set("nodetest.update", "false")) }()
	return failures(t, func(t testing.TB) { nodetest.CheckKind(t, kind, samples, dir) })
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func cartSamples() []any {
	items := map[string]int{"tea": 2, "rusks": 70000, "jam": -1}
	return []any{
		cart{Owner: "ann", Items: items, Since: noon, Reminders: 3}, &cart{},
		"ann", item{"tea", 2}, view{"ann", items, noon}, reminder{[]string{"a", "b"}},
	}
}

// The golden files of this kind are committed: they are read, not written.
func TestCheckKindAcceptsItsGoldenFiles(t *testing.T) {
	nodetest.CheckKind(t, newCarts(), cartSamples(), "testdata")
}

func TestGoldenFilesAreWrittenOnceAndOnDemand(t *testing.T) {
	dir := t.TempDir()
	require.Contains(t, check(t, newCarts(), dir, false, cartSamples()...), "-nodetest.update")
	require.Empty(t, list(t, dir, "cart"))
	require.Empty(t, check(t, newCarts(), dir, true, cartSamples()...))
	written := list(t, dir, "cart")
	require.Equal(t, []string{
		"add.reply-001.golden", "add.request-001.golden", "argument-001.golden", "end.request-001.golden",
		"look.reply-001.golden", "remind.message-001.golden", "state-001.golden", "state-002.golden",
	}, written)
	for range 20 { // maps have another order each time
		require.Empty(t, check(t, newCarts(), dir, true, cartSamples()...))
	}
	require.Equal(t, written, list(t, dir, "cart"))
	require.Empty(t, check(t, newCarts(), dir, false, cartSamples()...))
}

func list(t *testing.T, dir, kind string) (names []string) {
	entries, err := os.ReadDir(filepath.Join(dir, kind))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// stateKind is a kind "growing" of a state S without messages, as one release has it.
func stateKind[S any]() sessionproc.AnyKind {
	return sessionproc.NewKind(sessionproc.KindOf[sessionproc.None]("growing"),
		func(context.Context, sessionproc.None) (*S, error) { return new(S), nil }, sessionproc.KindConfig{})
}

// release is a later form of a state, and what is wrong with it.
type release struct {
	kind   sessionproc.AnyKind
	sample any
	fault  string // "": it understands the first one
}

func later[S any](sample S, fault string) release { return release{stateKind[S](), sample, fault} }

func TestEarlierReleasesAreUnderstood(t *testing.T) {
	type tags = map[int]string
	type first struct {
		Name  string
		Count int32
		Tags  tags
	}
	for name, r := range map[string]release{
		"field added": later(struct {
			Name  string
			Count int32
			Tags  tags
			More  []string
		}{"bob", 1, nil, []string{"x"}}, ""),
		"number grown": later(struct {
			Name  string
			Count int64
			Tags  tags
		}{"bob", 1, nil}, ""),
		"number shrunk": later(struct {
			Name  string
			Count int8
			Tags  tags
		}{"bob", 1, nil}, "Count was 70000 and is 112"),
		"field renamed": later(struct {
			FullName string
			Count    int32
			Tags     tags
		}{"bob", 1, nil}, "Name (ann) is gone"),
		"field renamed, and not on the wire": later(struct {
			FullName string `msgpack:"Name"`
			Count    int32
			Tags     tags
		}{"bob", 1, nil}, ""),
		"type changed": later(struct {
			Name  []string
			Count int32
			Tags  tags
		}{[]string{"bob"}, 1, nil}, "does not decode any more"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.Empty(t, check(t, stateKind[first](), dir, true, first{"ann", 70000, tags{1: "one", 300: "many"}}))
			got := check(t, r.kind, dir, true, r.sample)
			if r.fault == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, got, r.fault)
			require.Contains(t, got, filepath.Join(dir, "growing", "state-001.golden"))
		})
	}
}

func TestRemovedMethodIsFound(t *testing.T) {
	dir := t.TempDir()
	require.Empty(t, check(t, newCarts(), dir, true, cartSamples()...))
	fewer := sessionproc.NewKind(sessionproc.KindOf[string]("cart"), newCart, sessionproc.KindConfig{})
	require.Contains(t, check(t, fewer, dir, true, cart{Owner: "ann"}, "ann"), "the kind has no remind.message any more")
}

// leaky loses a part of itself when it is encoded.
type leaky struct{ Kept, Lost string }

func (l *leaky) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeString(l.Kept) }
func (l *leaky) DecodeMsgpack(d *msgpack.Decoder) (err error) {
	l.Kept, err = d.DecodeString()
	return err
}

func TestCheckKindFindsAFieldLostOnTheWay(t *testing.T) {
	type state struct {
		At time.Time
		In []leaky
	}
	got := check(t, stateKind[state](), t.TempDir(), true, state{noon, []leaky{{Kept: "k"}, {Kept: "k", Lost: "l"}}})
	require.Contains(t, got, "In[1].Lost is l, then")
}

// own codes itself.
type own struct{ n byte }

func (o *own) MarshalState() ([]byte, error) { return []byte{0xc1, o.n}, nil } // no msgpack
func (o *own) UnmarshalState(b []byte) error {
	if len(b) != 2 {
		return errors.New("two bytes are needed")
	}
	o.n = b[1]
	return nil
}

func TestCheckKindUsesTheStatesOwnCoding(t *testing.T) {
	dir := t.TempDir()
	require.Empty(t, check(t, stateKind[own](), dir, true, own{7}))
	require.Empty(t, check(t, stateKind[own](), dir, false, &own{7}))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "growing", "state-002.golden"), []byte("?"), 0o644))
	require.Contains(t, check(t, stateKind[own](), dir, false, own{7}), "two bytes are needed")
}

func TestSamplesMustCoverTheKind(t *testing.T) {
	dir := t.TempDir()
	got := check(t, newCarts(), dir, true, cartSamples()[:4]...)
	require.Contains(t, got,
		"no sample of add.reply (nodetest_test.view), look.reply (nodetest_test.view), "+
			"remind.message (nodetest_test.reminder)")
	require.Contains(t, check(t, newCarts(), dir, true, append(cartSamples(), 1.5)...),
		"a sample has the type float64, which is neither")
	require.Contains(t, check(t, newCarts(), dir, true, append(cartSamples(), (*cart)(nil))...), "a sample is nil")
}

func TestFaultyKindIsRefusedAsByANode(t *testing.T) {
	require.Contains(t, check(t, stateKind[struct{ secret int }](), t.TempDir(), true), "secret is unexported")
}

func TestCheckedKindCanBeGivenToANode(t *testing.T) {
	k := newCarts()
	require.Empty(t, check(t, k, t.TempDir(), true, cartSamples()...))
	bubble(t, func(t *testing.T) {
		nodetest.NewCluster(t, 1, func() sessionproc.AnyKind { return k })
	})
}
