package engine_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A diary is lines that its own methods stumble over.
var (
	diaries = sessionproc.KindOf[[]string]("diary")
	read    = sessionproc.MethodOf[sessionproc.None, []string](diaries, "read")
	written = sessionproc.EventOf[[]string](diaries, "written")
	alter   = sessionproc.MethodOf[sessionproc.None, sessionproc.None](diaries, "alter")
)

type diary struct{ Lines []string }

// merge leaves traces in both, and may fail then.
func (l *diary) merge(_ context.Context, other *diary) error {
	l.Lines, other.Lines = append(l.Lines, other.Lines...), nil
	switch {
	case slices.Contains(l.Lines, "merge panics"):
		panic(panicText)
	case slices.Contains(l.Lines, "merge fails"):
		return errNoStock
	}
	return nil
}

func (l *diary) ended(_ context.Context, reason sessionproc.Reason) {
	if reason == sessionproc.ReasonConflict && slices.Contains(l.Lines, "terminate panics") {
		panic(panicText)
	}
}

func (l *diary) MarshalState() ([]byte, error) {
	if slices.Contains(l.Lines, "marshal panics") {
		panic(panicText)
	}
	return json.Marshal(l.Lines)
}

func (l *diary) UnmarshalState(b []byte) error {
	if err := json.Unmarshal(b, &l.Lines); err != nil {
		return err
	}
	if slices.Contains(l.Lines, "unmarshal panics") {
		panic(panicText)
	}
	return nil
}

func newDiaries() sessionproc.AnyKind {
	k := sessionproc.NewKind(diaries, func(_ context.Context, lines []string) (*diary, error) {
		return &diary{lines},
			nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, read, func(l *diary, _ context.Context, _ sessionproc.None) ([]string,
		error) {
		return l.Lines, nil
	},
		sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleEvent(k, written, func(l *diary) []string { return l.Lines })
	k.OnMerge((*diary).merge)
	k.OnEnd((*diary).ended)
	sessionproc.HandleCall(k, alter, func(*diary, context.Context, sessionproc.None) (sessionproc.None, error) {
		return sessionproc.None{}, nil
	})
	return k
}

// Whatever the methods of two copies do that meet, one session goes on, with the
// state of one of them or of both.
func TestPanicsAtTheMeetingOfCopiesAreContained(t *testing.T) {
	for name, c := range map[string]struct {
		here, there []string
		higher      string // whose incarnation
		want        []string
		merged      int64
		quiet       bool // nothing panics
	}{
		"merged": {here: []string{"a"}, there: []string{"b"}, want: []string{"a", "b"}, merged: 1,
			quiet: true},
		"Merge fails, here wins": {here: []string{"merge fails"}, there: []string{"b"}, higher: "here",
			want: []string{"merge fails"}, quiet: true},
		"Merge panics, here wins": {here: []string{"merge panics"}, there: []string{"b"}, higher: "here",
			want: []string{"merge panics"}},
		"Merge panics, there wins": {here: []string{"merge panics"}, there: []string{"b"}, higher: "there",
			want: []string{"b"}},
		"Terminate panics, here wins": {here: []string{"merge fails"}, there: []string{"terminate panics"},
			higher: "here", want: []string{"merge fails"}},
		"Terminate panics, there wins": {here: []string{"terminate panics"}, there: []string{"merge fails"},
			higher: "there", want: []string{"merge fails"}},
		"MarshalState panics, here wins": {here: []string{"marshal panics"}, there: []string{"b"}, higher: "here",
			want: []string{"marshal panics"}},
		"MarshalState panics, there wins": {here: []string{"marshal panics"}, there: []string{"b"}, higher: "there",
			want: []string{"b"}},
		"UnmarshalState panics": {here: []string{"merge fails", "unmarshal panics"}, there: []string{"b"},
			higher: "here", want: []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(journal)
			var tables [2]*local
			for i := range tables {
				tables[i] = newLocalWith(t, func(cfg *engine.TableConfig) {
					log.into(cfg)
					cfg.Boot = uint64(i + 1)
				}, newDiaries())
			}
			here, there := tables[0], tables[1]
			for name, l := range map[string]*local{"here": here, "there": there} {
				if name == c.higher {
					require.NoError(t, diaries.Start(t.Context(), l, "other", nil))
				}
			}
			require.NoError(t, diaries.Start(t.Context(), here, "a", c.here))
			require.NoError(t, diaries.Start(t.Context(), there, "a", c.there))
			for _, l := range tables {
				_, err := alter.Call(t.Context(), l, "a", sessionproc.None{})
				require.NoError(t, err)
			}
			b, err := take(t, there, "a")
			require.NoError(t, err)
			met, err := here.table.Restore(part("a"), "a", b)
			require.NoError(t, err)
			require.True(t, here.table.Meet(met))
			got, err := read.Call(t.Context(), here, "a", sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, engine.Copies{Merged: c.merged, Conflicts: 1 - c.merged}, here.table.Copies())
			if c.quiet {
				require.NotContains(t, log.String(), panicText)
			} else {
				require.Contains(t, log.String(), panicText)
				require.Contains(t, log.String(), "reference=")
			}
			require.NotContains(t, log.String(), "session crashed")
		})
	}
}
