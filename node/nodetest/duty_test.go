package nodetest_test

import (
	"context"
	"os"
	"os/exec"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/logtest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A folder knows the one it is in, so that it contains itself.
type folder struct {
	In      *folder
	Folders []*folder
}

func (f *folder) file() *folder {
	f.Folders = append(f.Folders, &folder{In: f})
	return f
}

var (
	drives = sessionproc.KindOf[sessionproc.None]("drive")
	file   = sessionproc.MethodOf[sessionproc.None, int](drives, "file")
	count  = sessionproc.MethodOf[*folder, int](drives, "count")
	fetch  = sessionproc.MethodOf[sessionproc.None, *folder](drives, "fetch")
)

type drive struct{ Root folder }

func newDrives() *sessionproc.Kind[drive, sessionproc.None] {
	start := func(context.Context, sessionproc.None) (*drive, error) { return new(drive), nil }
	k := sessionproc.NewKind(drives, start, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, file, (*drive).file)
	sessionproc.HandleCall(k, count, (*drive).count)
	sessionproc.HandleCall(k, fetch, (*drive).fetch)
	return k
}

func (d *drive) file(context.Context, sessionproc.None) (int, error) {
	return len(d.Root.file().Folders), nil
}
func (d *drive) count(_ context.Context, f *folder) (int, error)          { return len(f.Folders), nil }
func (d *drive) fetch(context.Context, sessionproc.None) (*folder, error) { return &d.Root, nil }

// A state that contains itself cannot move. It stays, its node says why, and the
// sessions beside it go.
func TestCyclicStateStaysAndHarmsNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		said := new(logtest.Log)
		kinds := []nodetest.KindFunc{nodetest.Kind(newDrives)}
		c := nodetest.Start(t, nodetest.Config{Nodes: 2, Kinds: kinds, Tune: func(_ int, cfg *node.Config) {
			cfg.Logger = said.Logger()
		}})
		ids := ownedBy(c, 0, 20)
		for i, id := range ids {
			require.NoError(t, drives.Start(t.Context(), c.Node(i%2), id, sessionproc.None{}))
		}
		for _, n := range []int{0, 1} {
			loop := new(folder).file()
			_, err := count.Call(t.Context(), c.Node(n), ids[0], loop)
			require.ErrorIs(t, err, sessionproc.ErrBadRequest, "node %d", n)
			require.ErrorContains(t, err, "nested deeper than 64 levels", "node %d", n)
		}
		_, err := file.Call(t.Context(), c.Node(1), ids[0], sessionproc.None{})
		require.NoError(t, err)
		for _, n := range []int{0, 1} {
			_, err = fetch.Call(t.Context(), c.Node(n), ids[0], sessionproc.None{})
			require.ErrorIs(t, err, sessionproc.ErrBadReply, "node %d", n)
			require.ErrorContains(t, err, "nested deeper than 64 levels", "node %d", n)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.Error(t, c.Node(0).Drain(ctx))
		require.Contains(t, said.String(), "nested deeper than 64 levels")
		require.Equal(t, 1, c.Node(0).Sessions())
		for i, id := range ids {
			folders, err := file.Call(t.Context(), c.Node(1), id, sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, folders == 2, i == 0)
		}
	})
}

// dies runs the test that calls it in a process of its own, where f is run, and
// wants that to end in a crash which prints all of these.
func dies(t *testing.T, f func(t *testing.T), prints ...string) {
	const mark = "NODETEST_RUNS_INTO_IT"
	if os.Getenv(mark) != "" {
		debug.SetMaxStack(16 << 20)
		f(t)
		return
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mark+"=yes")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "it passed: %s", out)
	for _, p := range prints {
		require.Contains(t, string(out), p)
	}
}

// endless copies itself to copy itself.
type endless struct{ Names []string }

//lint:ignore SA5007 that is what it is for
func (e endless) Clone() endless { return e.Clone() }

// unending encodes itself to encode itself.
type unending struct{ Names []string }

//lint:ignore SA5007 that is what it is for
func (u *unending) MarshalState() ([]byte, error) { return u.MarshalState() }
func (u *unending) UnmarshalState([]byte) error   { return nil }

var (
	endlessKind = sessionproc.KindOf[endless]("endless")
	growKind    = sessionproc.KindOf[sessionproc.None]("grow")
)

// What Go cannot contain is for the user to see to: a method that calls itself for
// ever ends the process. A test on a cluster runs into it, and names the method.
func TestEndlessCloneEndsTheProcessAndIsNamed(t *testing.T) {
	dies(t, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := nodetest.NewCluster(t, 1, func() sessionproc.AnyKind {
				start := func(context.Context, endless) (*cart, error) { return new(cart), nil }
				return sessionproc.NewKind(endlessKind, start, sessionproc.KindConfig{})
			})
			_ = endlessKind.Start(t.Context(), c.Node(0), "a", endless{})
		})
	}, "stack overflow", "endless.Clone")
}

func TestEndlessMarshalStateEndsTheProcessAndIsNamed(t *testing.T) {
	dies(t, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := nodetest.NewCluster(t, 2, func() sessionproc.AnyKind {
				start := func(context.Context, sessionproc.None) (*unending, error) { return new(unending), nil }
				return sessionproc.NewKind(growKind, start, sessionproc.KindConfig{})
			})
			_ = growKind.Start(t.Context(), c.Node(0), "a", sessionproc.None{})
			c.Drain(c.Owner("a"))
		})
	}, "stack overflow", "(*unending).MarshalState")
}
