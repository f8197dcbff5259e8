package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/internal/loglimit"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// What nobody may find in what is printed.
const (
	aSecret = "sps1_this-is-a-secret"
	anID    = "thisIsAWholeSessionID"
)

// exportedStructs are all exported structs of the packages that a user imports, by
// package and name. One of those whose value is true is what somebody asked for who
// named sessions, and so it has their IDs.
var exportedStructs = []struct {
	of     any
	hasIDs bool
}{
	{node.Config{}, false}, {node.Difference{}, false}, {node.DrainError{}, false},
	{node.Estimate{}, false}, {node.Explanation{}, false}, {node.InspectOptions{}, false},
	{node.NodeHealth{}, false}, {node.LostMember{}, false}, {node.KindInfo{}, false},
	{node.HotSession{}, true}, {node.Inspection{}, true},
	{node.ListOptions{}, true}, {node.Node{}, false}, {node.NodeStats{}, true},
	{node.PartialError{}, false},
	{node.Place{}, false}, {node.Progress{}, false}, {node.SessionEvent{}, true}, {node.SessionInfo{}, true},
	{node.SessionTimer{}, true},
	{node.Shutdown{}, false}, {node.SilentMember{}, false}, {node.Stats{}, true}, {node.Trace{}, false},
	{node.TraceTaskDone{}, false}, {node.SessionTask{}, false},
	{node.TraceMoveRefused{}, false}, {node.TraceRecordKept{}, false},
	{node.TraceMemberChanged{}, false}, {node.TraceNodeChanged{}, false}, {node.TraceSessionPromoted{}, false},
	{node.BehindMember{}, false}, {node.Durability{}, false},
	{node.TraceRequest{}, false}, {node.TraceSessionMoved{}, false}, {node.TraceMessage{}, false},
	{node.TraceRequestRefused{}, false}, {node.TraceSessionConflict{}, false}, {node.TraceSessionCrashed{}, false},
	{node.TraceSessionEnded{}, false}, {node.TraceSessionStarted{}, false}, {node.WaitingFor{}, false},

	{loglimit.Handler{}, false}, {loglimit.Limit{}, false},
	{sessionproc.Arrival{}, false}, {engine.ContractPart{}, false}, {engine.Copies{}, true},
	{sessionproc.CrashError{}, false}, {engine.Cursor{}, true},
	{engine.Detached{}, true}, {engine.DetachedConfig{}, true},
	{engine.DetachedTimer{}, false}, {engine.DetachedTask{}, false},
	{engine.TaskQuery{}, false}, {engine.TaskAnswer{}, true}, {engine.TaskDone{}, true}, {engine.TaskInfo{}, false},
	{engine.TraceTaskDone{}, false}, {sessionproc.Result[int]{}, false}, {sessionproc.Task[int, int]{}, false},
	{sessionproc.TaskConfig{}, false}, {sessionproc.TaskRun{}, false},
	{engine.Details{}, true}, {sessionproc.Ended{}, false}, {sessionproc.Error{}, false},
	{sessionproc.Event[string]{}, false},
	{sessionproc.EventConfig{}, false}, {engine.EventInfo{}, true},
	{engine.Filter{}, true},
	{engine.Hot{}, true}, {engine.Inbound{}, true}, {sessionproc.Incarnation{}, false},
	{engine.Info{}, true},
	{sessionproc.Kind[string, int]{}, false}, {sessionproc.KindConfig{}, false}, {sessionproc.KindRef[int]{}, false},
	{sessionproc.LimitError{}, false}, {sessionproc.Method[int, int]{}, false}, {sessionproc.MethodConfig{}, false},
	{sessionproc.None{}, false},
	{sessionproc.Notice[int]{}, false}, {sessionproc.OpError{}, false}, {sessionproc.Position{}, false},
	{sessionproc.Reach{}, false}, {sessionproc.Session{}, false},
	{engine.Recalled{}, true}, {engine.Record{}, true}, {engine.Restored{}, true}, {node.StartOptions{}, false},
	{engine.Stats{}, true},
	{sessionproc.SubscribeOptions{}, false}, {sessionproc.Subscription[int]{}, true}, {engine.Supervision{}, false},
	{engine.Table{}, true}, {engine.TableConfig{}, false}, {engine.TableTrace{}, false},
	{engine.TimerInfo{}, true},
	{engine.TraceMessage{}, false}, {engine.TraceRecordKept{}, false}, {engine.TraceRequestRefused{}, false},
	{engine.TraceSessionConflict{}, false},
	{engine.TraceSessionCrashed{}, false}, {engine.TraceSessionEnded{}, false},
	{engine.TraceSessionStarted{}, false},
	{engine.Large{}, true}, {engine.Unanswered{}, false}, {engine.Understanding{}, false}, {engine.Needs{}, false},
	{engine.Rival{}, false}, {sessionproc.Update[int]{}, false}, {engine.Copy{}, false},

	{sessionhttp.Config{}, false}, {sessionhttp.EventStream[int]{}, false}, {sessionhttp.EventsConfig[int]{}, false},
	{sessionhttp.Sessions{}, false},

	{cluster.Assigned{}, false}, {cluster.Cluster{}, false}, {cluster.Config{}, false}, {cluster.Hellos{}, false},
	{cluster.Member{}, false}, {cluster.View{}, false},
	{transport.Call{}, true}, {transport.Config{}, false}, {transport.Error{}, false},
	{transport.Peer{}, false},
	{transport.RefusalLog{}, false}, {transport.RefusedError{}, false}, {transport.Reply{}, false},
	{transport.Request{}, true},
	{transport.Stream{}, false}, {transport.StreamError{}, false}, {transport.Transport{}, false},
	{wire.Checker{}, false}, {wire.Reader{}, false}, {ring.Builder{}, false}, {ring.Config{}, false},
	{ring.Move{}, false}, {ring.Ring{}, false},
}

// No way of printing any of them shows a secret, and none shows a session ID but
// where somebody asked for it.
func TestPrintedStructsTellNoSecret(t *testing.T) {
	for _, s := range exportedStructs {
		typ := reflect.TypeOf(s.of)
		t.Run(typ.String(), func(t *testing.T) {
			p := reflect.New(typ)
			fill(p.Elem(), 5)
			for how, text := range printed(p) {
				require.NotContains(t, text, aSecret, how)
				require.NotContains(t, text, fmt.Sprint([]byte(aSecret)), how)
				require.NotContains(t, text, "c3BzMV90aGlz", how) // in base64
				require.NotContains(t, text, "73707331", how)     // in hexadecimal
				if !s.hasIDs {
					require.NotContains(t, text, anID, how)
				}
			}
		})
	}
}

// printed is all ways to print what p points to, and p.
func printed(p reflect.Value) map[string]string {
	all := map[string]string{}
	forms := map[string]any{"pointer": p.Interface()}
	if !locked(p.Type().Elem()) { // go vet refuses copies of the others
		forms["value"] = p.Elem().Interface()
	}
	for name, v := range forms {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			all[name+" "+verb] = fmt.Sprintf(verb, v)
		}
		b, _ := json.Marshal(v) // what cannot be marshalled shows nothing
		all[name+" JSON"] = string(b)
		var text, js bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("it", "value", v)
		slog.New(slog.NewJSONHandler(&js, nil)).Info("it", "value", v)
		all[name+" slog"], all[name+" slog JSON"] = text.String(), js.String()
	}
	return all
}

// locked reports whether values of a type must not be copied.
func locked(typ reflect.Type) bool {
	if typ == reflect.TypeFor[sync.Mutex]() {
		return true
	}
	if typ.Kind() == reflect.Struct {
		for i := range typ.NumField() {
			if locked(typ.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// fill puts secrets and IDs wherever a field's name says that it holds them, in
// structs in structs too, exported or not.
func fill(v reflect.Value, depth int) {
	if v.Kind() != reflect.Struct || depth == 0 {
		return
	}
	for i := range v.NumField() {
		f := reflect.NewAt(v.Field(i).Type(), unsafe.Pointer(v.Field(i).UnsafeAddr())).Elem()
		fill(f, depth-1)
		var text string
		switch name := strings.ToLower(v.Type().Field(i).Name); name {
		case "secret", "acceptsecrets", "keys", "auth":
			text = aSecret
		case "id", "bysession":
			text = anID
		default:
			continue
		}
		switch f.Interface().(type) {
		case string:
			f.SetString(text)
		case []byte:
			f.SetBytes([]byte(text))
		case []string:
			f.Set(reflect.ValueOf([]string{text}))
		case [][]byte:
			f.Set(reflect.ValueOf([][]byte{[]byte(text)}))
		case map[string]int:
			f.Set(reflect.ValueOf(map[string]int{text: 1}))
		}
	}
}

// The list above is complete.
func TestAllExportedStructsArePrinted(t *testing.T) {
	listed := map[string]bool{}
	for _, s := range exportedStructs {
		name, _, _ := strings.Cut(reflect.TypeOf(s.of).String(), "[")
		listed[name] = true
	}
	there := map[string]bool{}
	for _, dir := range []string{".", "../sessionproc", "../sessionproc/engine", "../sessionproc/sessionhttp",
		"../cluster", "../transport", "nodeweb",
		"../transport/wire", "../ring", "../internal/loglimit"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			require.NoError(t, err)
			ast.Inspect(parsed, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if _, ok := spec.Type.(*ast.StructType); ok && spec.Name.IsExported() {
					there[parsed.Name.Name+"."+spec.Name.Name] = true
				}
				return false
			})
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(listed)))
}

// Errors and nodes as they are made, with a secret and IDs of their own.
func TestARunningNodeTellsNoSecret(t *testing.T) {
	secret := node.NewSecret()
	cfg := node.Config{Secret: secret, Slot: "a", Logger: slog.New(slog.DiscardHandler)}
	n, err := node.Start(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	_, err = n.Started(t.Context(), anID+" ")
	require.Error(t, err)
	failed := n.Cast(t.Context(), anID, "m", nil)
	require.Error(t, failed)
	for _, v := range []any{cfg, &cfg, n, err, failed, fmt.Errorf("wrapped: %w", failed),
		&node.PartialError{Nodes: map[string]error{"a": failed}}} {
		p := reflect.New(reflect.TypeOf(v))
		p.Elem().Set(reflect.ValueOf(v))
		for how, text := range printed(p) {
			require.NotContains(t, text, secret, how)
			require.NotContains(t, text, anID, how)
		}
	}
	require.Contains(t, fmt.Sprintf("%+v", cfg), "Slot: a")
	require.Contains(t, fmt.Sprintf("%v", n), "node a/")
}
