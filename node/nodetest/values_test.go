//go:build !race

package nodetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A safe keeps a value, and answers with the one that it had.
type safe[T any] struct{ V T }

func (s *safe[T]) swap(_ context.Context, v T) (T, error) {
	had := s.V
	s.V = v
	return had, nil
}

func (s *safe[T]) put(_ context.Context, v T) error { s.V = v; return nil }

// safeKind is a kind of safes. The compiler takes long for each T, so there is one method for all.
type safeKind[T any] struct {
	ref  *sessionproc.KindRef[T]
	swap *sessionproc.Method[T, T]
	put  *sessionproc.Notice[T]
	cfg  sessionproc.MethodConfig
}

func newSafes[T any](cfg sessionproc.MethodConfig) safeKind[T] {
	ref := sessionproc.KindOf[T]("safe")
	return safeKind[T]{ref, sessionproc.MethodOf[T, T](ref, "swap"), sessionproc.NoticeOf[T](ref, "put"), cfg}
}

func (s safeKind[T]) make() sessionproc.AnyKind {
	start := func(_ context.Context, v T) (*safe[T], error) { return &safe[T]{v}, nil }
	k := sessionproc.NewKind(s.ref, start, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, s.swap, (*safe[T]).swap, s.cfg)
	sessionproc.HandleCast(k, s.put, (*safe[T]).put, s.cfg)
	return k
}

// arrives sends a value in every way to a session on this node and on another one, and
// moves the session: what arrives must be the same in all of them.
func arrives[T any](t *testing.T, name string, sent, want T, cfg ...sessionproc.MethodConfig) {
	t.Run(name, func(t *testing.T) {
		s := newSafes[T](append(cfg, sessionproc.MethodConfig{})[0])
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			c := nodetest.NewCluster(t, 2, s.make)
			owner := c.Owner("a")
			// holds asks from a node what the session has, which arrived in that way.
			holds := func(from int, way string) {
				t.Helper()
				synctest.Wait()
				got, err := s.swap.Call(ctx, c.Node(from), "a", sent)
				require.NoError(t, err, way)
				require.True(t, same(want, got), "%s: %#v arrives as %#v", way, sent, got)
			}
			for _, from := range []int{owner, 1 - owner} {
				require.NoError(t, s.ref.Start(ctx, c.Node(from), "a", sent))
				holds(owner, "as an argument")
				holds(from, "as a reply")
				holds(owner, "as a request")
				require.NoError(t, s.put.Cast(ctx, c.Node(from), "a", sent))
				holds(owner, "as a cast")
				if from == owner {
					require.NoError(t, c.Node(from).Terminate(ctx, "a"))
				}
			}
			c.Drain(owner)
			require.Zero(t, c.Node(owner).Sessions(), "it has moved")
			holds(owner, "after a move")
		})
	})
}

// passes is arrives for a value that arrives as it is.
func passes[T any](t *testing.T, name string, v T) { arrives(t, name, v, v) }

// refused wants a type to be refused, with the field and the way out.
func refused[T any](t *testing.T, v T, says ...string) {
	t.Helper()
	ref := sessionproc.KindOf[sessionproc.None]("refused")
	start := func(context.Context, sessionproc.None) (*struct{}, error) { return nil, nil }
	k := sessionproc.NewKind(ref, start, sessionproc.KindConfig{})
	put := func(*struct{}, context.Context, T) error { return nil }
	sessionproc.HandleCast(k, sessionproc.NoticeOf[T](ref, "put"), put)
	refusedKind(t, k, says...)
}

func refusedKind(t *testing.T, k sessionproc.AnyKind, says ...string) {
	t.Helper()
	_, err := engine.Contract(k)
	require.Error(t, err)
	for _, text := range says {
		require.ErrorContains(t, err, text)
	}
}

func same(a, b any) bool {
	return reflect.DeepEqual(a, b) || fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) // NaN
}

var at = time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)

func TestTimesArriveInUTC(t *testing.T) {
	india := time.FixedZone("IST", 19800)
	for name, sent := range map[string]time.Time{
		"UTC": at, "a zone": at.In(india), "local": at.Local(), "zero": {}, "zero elsewhere": time.Time{}.In(india),
		"year 1500":             time.Date(1500, 1, 1, 0, 0, 0, 0, india),
		"year 9999":             time.Date(9999, 12, 31, 23, 59, 59, 999999999, india),
		"with a monotonic part": at.Add(time.Since(time.Now())),
	} {
		arrives(t, name, sent, sent.Round(0).UTC())
	}
	now := time.Now()
	here, there := now.In(india), now.Round(0).UTC()
	type visit struct {
		At   time.Time
		Text string
	}
	type visits struct {
		visit
		Last   *time.Time
		All    []visit
		ByName map[string]visit
		Recent [2]time.Time
		By     map[float64]time.Time
	}
	arrives(t, "in a struct", visit{here, "x"}, visit{there, "x"})
	v := func(at time.Time) visits {
		one := visit{at, "x"}
		return visits{one, &at, []visit{one}, map[string]visit{"a": one}, [2]time.Time{at}, map[float64]time.Time{1: at}}
	}
	sent, want := v(here), v(there)
	want.Recent[1] = time.Time{}
	arrives(t, "everywhere", sent, want)
	arrives(t, "shared", sent, want, sessionproc.MethodConfig{ShareRequest: true})
	arrives(t, "shared itself", visit{here, "x"}, visit{there, "x"}, sessionproc.MethodConfig{ShareRequest: true})
	arrives(t, "a nil one", (*time.Time)(nil), nil)
	arrives(t, "behind a pointer", &here, &there)
}

type clonedVisit struct {
	At   time.Time
	Tags []string
	Memo string `msgpack:"-"`
}

func (v clonedVisit) Clone() clonedVisit {
	return clonedVisit{v.At, append([]string(nil), v.Tags...), v.Memo}
}

type clonedVisits struct {
	All  []time.Time
	Memo *struct {
		Text string `msgpack:"-"`
	}
}

func (v *clonedVisits) Clone() *clonedVisits { return &clonedVisits{v.All, v.Memo} }

type pointerClone struct{ List []int }

func (v *pointerClone) Clone() *pointerClone { return &pointerClone{append([]int(nil), v.List...)} }

func TestACloneArrivesAsAnEncodedValueDoes(t *testing.T) {
	here := at.In(time.FixedZone("IST", 19800))
	arrives(t, "by value", clonedVisit{here, []string{"a"}, "here"}, clonedVisit{at, []string{"a"}, ""})
	arrives(t, "times behind", clonedVisits{All: []time.Time{here}}, clonedVisits{All: []time.Time{at}})
	passes(t, "by pointer", pointerClone{[]int{1}})
	passes(t, "of a pointer", &pointerClone{[]int{1}})
	passes(t, "of a nil pointer", (*pointerClone)(nil))
	passes(t, "of a nil map", http.Header(nil))
	passes(t, "of a map", http.Header{"A": {"b"}})
}

func TestFieldsThatDoNotTravelAreDroppedEverywhere(t *testing.T) {
	type part struct {
		N    int
		Memo string `msgpack:"-"`
		memo int    `msgpack:"-,omitempty"`
		f    func() `msgpack:"-"`
	}
	type whole struct {
		part
		P    *part
		List []part
		Arr  [2]part
		Map  map[string]part
	}
	type free struct {
		N    int
		Memo any `msgpack:"-"`
	}
	full := part{1, "memo", 2, func() {}}
	arrives(t, "in the value", full, part{N: 1})
	arrives(t, "anything", free{1, make(chan int)}, free{N: 1})
	sent := whole{full, &full, []part{full}, [2]part{full}, map[string]part{"a": full}}
	p := part{N: 1}
	want := whole{p, &p, []part{p}, [2]part{p}, map[string]part{"a": p}}
	arrives(t, "everywhere", sent, want)
	arrives(t, "shared", sent, want, sessionproc.MethodConfig{ShareRequest: true})
	arrives(t, "shared itself", full, part{N: 1}, sessionproc.MethodConfig{ShareRequest: true})
	require.NotNil(t, sent.P.f, "the caller keeps its own")
}

func TestTypesOfTheStandardLibraryArrive(t *testing.T) {
	big1 := new(big.Int).Exp(big.NewInt(7), big.NewInt(300), nil)
	link, err := url.Parse("https://u:p@h/x?y=1#z")
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	random.Uint64()
	passes(t, "big.Int", *big1)
	passes(t, "*big.Int", big1)
	passes(t, "in lists", struct {
		A []big.Int
		B []*big.Int
		C [2]big.Rat
	}{[]big.Int{*big1}, []*big.Int{nil, big1}, [2]big.Rat{*big.NewRat(1, 3), *big.NewRat(2, 3)}})
	passes(t, "in maps", map[string]big.Int{"a": *big1, "b": *big.NewInt(5)})
	passes(t, "in structs in maps", map[string]struct{ A, B big.Int }{"a": {*big1, *big.NewInt(5)}})
	passes(t, "in arrays in maps in maps", map[int]map[string][2]url.URL{1: {"a": {*link, *link}}})
	passes(t, "pointers in maps", map[string]*big.Int{"a": big1, "b": nil})
	passes(t, "url.URL", *link)
	passes(t, "url.Values", url.Values{"a": {"1", "2"}})
	passes(t, "addresses", struct {
		A netip.Addr
		B net.IP
		C netip.Prefix
		D netip.AddrPort
		E net.IPNet
		Z netip.Addr
	}{netip.MustParseAddr("fe80::1%eth0"), net.ParseIP("1.2.3.4"), netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParseAddrPort("[::1]:80"), net.IPNet{IP: net.ParseIP("10.0.0.0"), Mask: net.CIDRMask(8, 32)}, netip.Addr{}})
	passes(t, "as keys", map[netip.Addr]int{netip.MustParseAddr("1.1.1.1"): 1, netip.MustParseAddr("::1"): 2})
	passes(t, "a regexp", regexp.MustCompile("a+b"))
	passes(t, "json", struct {
		R json.RawMessage
		N json.Number
	}{json.RawMessage(`{"a":1}`), "12345678901234567890"})
	passes(t, "a source of random numbers", *rand.NewPCG(3, 4))
	passes(t, "a cookie", http.Cookie{Name: "n", Value: "v", Expires: at, Unparsed: []string{"x"}})
	passes(t, "numbers with names", struct {
		D time.Duration
		M time.Month
		W []time.Weekday
	}{time.Hour, 5, []time.Weekday{3}})
	passes(t, "large numbers", struct {
		A []uint64
		B []int64
		C []float64
		D []float32
	}{[]uint64{math.MaxUint64, 1 << 63}, []int64{math.MinInt64, math.MaxInt64},
		[]float64{math.Inf(1), math.Copysign(0, -1), 1e-320, math.NaN()}, []float32{0.1}})
}
