package node_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/sessionhttp"
)

// numbers calls try with base changed in one numeric field, also in structs in it, for
// each field and each of its extreme values. field is its name, those of the structs that
// it is in before it.
func numbers[C any](base C, try func(field string, value any, cfg C)) {
	var walk func(path []int, names string, t reflect.Type)
	walk = func(path []int, names string, t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			at := append(append([]int{}, path...), i)
			if !f.IsExported() {
				continue
			}
			if f.Type.Kind() == reflect.Struct && f.Type.PkgPath() != "time" {
				walk(at, names+"."+f.Name, f.Type)
			}
			for _, value := range extremes(f.Type) {
				cfg := base
				reflect.ValueOf(&cfg).Elem().FieldByIndex(at).Set(value)
				try((names + "." + f.Name)[1:], value.Interface(), cfg)
			}
		}
	}
	walk(nil, "", reflect.TypeOf(base))
}

// extremes are the first and last values of a numeric type.
func extremes(t reflect.Type) (all []reflect.Value) {
	add := func(set func(v reflect.Value)) {
		v := reflect.New(t).Elem()
		set(v)
		all = append(all, v)
	}
	switch bits := t.Size() * 8; t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		most := int64(math.MaxInt64) >> (64 - bits)
		for _, n := range []int64{-most - 1, most, 1, -most, -1, most - 1} {
			add(func(v reflect.Value) { v.SetInt(n) })
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		most := uint64(math.MaxUint64) >> (64 - bits)
		for _, n := range []uint64{1, most, most - 1} {
			add(func(v reflect.Value) { v.SetUint(n) })
		}
	case reflect.Float64:
		for _, n := range []float64{math.Inf(-1), -1, math.SmallestNonzeroFloat64, math.MaxFloat64, math.Inf(1), math.NaN()} {
			add(func(v reflect.Value) { v.SetFloat(n) })
		}
	}
	return all
}

// Each numeric field of each Config, set to an extreme, is refused by an error that names
// it, or works: what it is for can be begun, used and ended. With a field set to 1 a
// request may fail, as it was given no time or room.
func TestExtremesOfConfigsAreRefusedOrWork(t *testing.T) {
	shorttest.Skip(t)
	for name, try := range triedConfigs {
		t.Run(name, func(t *testing.T) { try(t) })
	}
}

// triedConfigs has all exported Configs of what node is made of; see also those of
// packages cluster and transport.
var triedConfigs = map[string]func(t *testing.T){
	"node.Config": func(t *testing.T) {
		numbers(node.Config{}, func(field string, value any, cfg node.Config) {
			attempt(t, field, value, func(t *testing.T) error { return liveAndLeave(t, cfg, newCounters, value != one(value)) })
		})
	},
	"node.Shutdown": func(t *testing.T) {
		numbers(node.Shutdown{}, func(field string, value any, s node.Shutdown) {
			attempt(t, field, value, func(t *testing.T) error {
				n := nodetest.NewCluster(t, 1, newCounters).Node(0)
				ctx := lasting(t, time.Second)
				return node.RunUntil(ctx, nil, n, s)
			})
		})
	},
	"sessionproc.KindConfig": func(t *testing.T) {
		numbers(sessionproc.KindConfig{}, func(field string, value any, cfg sessionproc.KindConfig) {
			attempt(t, field, value, func(t *testing.T) error {
				kind := func() sessionproc.AnyKind {
					return countersWith(cfg, sessionproc.MethodConfig{}, sessionproc.EventConfig{})
				}
				return liveAndLeave(t, node.Config{}, kind, value != one(value))
			})
		})
	},
	"sessionproc.MethodConfig": func(t *testing.T) {
		numbers(sessionproc.MethodConfig{}, func(field string, value any, cfg sessionproc.MethodConfig) {
			attempt(t, field, value, func(t *testing.T) error {
				kind := func() sessionproc.AnyKind {
					return countersWith(sessionproc.KindConfig{}, cfg, sessionproc.EventConfig{})
				}
				return liveAndLeave(t, node.Config{}, kind, value != one(value))
			})
		})
	},
	"sessionproc.EventConfig": func(t *testing.T) {
		numbers(sessionproc.EventConfig{}, func(field string, value any, cfg sessionproc.EventConfig) {
			attempt(t, field, value, func(t *testing.T) error {
				kind := func() sessionproc.AnyKind {
					return countersWith(sessionproc.KindConfig{}, sessionproc.MethodConfig{}, cfg)
				}
				return liveAndLeave(t, node.Config{}, kind, true)
			})
		})
	},
	"sessionproc.TaskConfig": func(t *testing.T) {
		numbers(sessionproc.TaskConfig{}, func(field string, value any, cfg sessionproc.TaskConfig) {
			attempt(t, field, value, func(t *testing.T) error { return taskWith(t, cfg) })
		})
	},
	"sessionproc.SubscribeOptions": func(t *testing.T) {
		numbers(sessionproc.SubscribeOptions{}, func(field string, value any, o sessionproc.SubscribeOptions) {
			attempt(t, field, value, func(t *testing.T) error { return subscribeWith(t, o) })
		})
	},
	"sessionhttp.Config": func(t *testing.T) {
		base := sessionhttp.Config{Keys: [][]byte{[]byte("0123456789abcdef0123456789abcdef")}}
		numbers(base, func(field string, value any, cfg sessionhttp.Config) {
			attempt(t, field, value, func(t *testing.T) error {
				s, err := sessionhttp.New(cfg)
				if err != nil {
					return err
				}
				w := httptest.NewRecorder()
				s.Middleware(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				require.Len(t, w.Result().Cookies(), 1)
				return nil
			})
		})
	},
	"sessionhttp.EventsConfig": func(t *testing.T) {
		base := sessionhttp.EventsConfig[int]{Session: func(http.ResponseWriter, *http.Request) (string,
			bool) {
			return "a", true
		}}
		numbers(base, func(field string, value any, cfg sessionhttp.EventsConfig[int]) {
			attempt(t, field, value, func(t *testing.T) error { return streamWith(t, cfg) })
		})
	},
	"ring.Config": func(t *testing.T) {
		numbers(ring.Config{}, func(field string, value any, cfg ring.Config) {
			attempt(t, field, value, func(*testing.T) error {
				_, err := ring.New(cfg, []string{"a", "b"})
				return err
			})
		})
	},
	"simnet.Config": func(t *testing.T) {
		numbers(simnet.Config{}, func(field string, value any, cfg simnet.Config) {
			attempt(t, field, value, func(t *testing.T) error {
				_, err := simnet.New(cfg)
				return err
			})
		})
	},
	"nodetest.Config": func(t *testing.T) {
		numbers(nodetest.Config{}, func(field string, value any, cfg nodetest.Config) {
			attempt(t, field, value, func(t *testing.T) error { return clusterWith(t, cfg) })
		})
	},
}

// untried are exported Configs that need no trial here, and why.
var untried = map[string]string{
	"cluster.Config":         "it is tried in its package",
	"transport.Config":       "it is tried in its package",
	"engine.TableConfig":     "node makes it of its own Config",
	"engine.DetachedConfig":  "it has no number but the name of an incarnation",
	"nodetest.SessionConfig": "it has no number but the name of an incarnation",
	"node.ListOptions":       "it has no number",
	"node.InspectOptions":    "it has no number",
	"node.StartOptions":      "it has no number",
}

// No Config is forgotten.
func TestEveryConfigIsTried(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^type ([A-Z]\w*(?:Config|Options)|Config|Shutdown)(?:\[.*\])? struct`)
	found := 0
	for _, dir := range []string{".", "nodetest", "../sessionproc", "../sessionproc/engine", "../sessionproc/sessionhttp",
		"../ring", "../cluster",
		"../transport", "../node/nodetest/simnet"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		abs, err := filepath.Abs(dir)
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range declared.FindAllSubmatch(source, -1) {
				name := filepath.Base(abs) + "." + string(m[1])
				found++
				_, tried := triedConfigs[name]
				require.True(t, tried || untried[name] != "", "%s is neither tried nor named as one that needs no trial", name)
			}
		}
	}
	require.Equal(t, len(triedConfigs)+len(untried), found)
}

// one is 1 in the type of value.
func one(value any) any {
	return reflect.ValueOf(1).Convert(reflect.TypeOf(value)).Interface()
}

// naming is what an error has to contain: the field's name, or that of a struct in the
// Config which it is in.
func naming(field string) string {
	names := strings.Split(field, ".")
	if len(names) > 1 {
		names = names[1:]
	}
	return `\b(` + strings.Join(names, "|") + `)\b`
}

// attempt wants use to work, in virtual time and an hour of it, or to return an error
// that names the field.
func attempt(t *testing.T, field string, value any, use func(t *testing.T) error) {
	t.Helper()
	t.Run(fmt.Sprintf("%s=%v", field, value), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			if err := use(t); err != nil {
				require.Regexp(t, naming(field), err)
			}
			require.Less(t, time.Since(begun), time.Hour)
		})
	})
}

// All durations of a node at their longest, in real time: the virtual one is before that
// of the process's start, where no sum overflows.
func TestLongestDurationsOfANodeDoNotOverflow(t *testing.T) {
	cfg := node.Config{Kinds: []sessionproc.AnyKind{newCounters()}}
	shutdown := node.Shutdown{}
	for _, c := range []any{&cfg, &shutdown} {
		v := reflect.ValueOf(c).Elem()
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Type == reflect.TypeFor[time.Duration]() && f.Name != "ReadyDelay" {
				v.Field(i).SetInt(math.MaxInt64)
			}
		}
	}
	shutdown.ReadyDelay = time.Millisecond
	cfg.StallAfter = time.Second // Gossip bounds it
	n, err := node.Start(t.Context(), cfg)
	require.NoError(t, err)
	time.Sleep(50 * time.Millisecond)
	require.NoError(t, counters.Start(context.Background(), n, "a", 1))
	_, err = add.Call(context.Background(), n, "a", 1)
	require.NoError(t, err)
	_, err = n.Stats(context.Background())
	require.NoError(t, err)
	require.NoError(t, n.Terminate(context.Background(), "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, node.RunUntil(ctx, nil, n, shutdown))
}
