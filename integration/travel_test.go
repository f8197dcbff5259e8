package integration_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// An order is a kind of which nodes have different releases. Its token is the
// same in all; what it holds is not.
var (
	orders  = sessionproc.KindOf[sessionproc.None]("order")
	receipt = sessionproc.MethodOf[sessionproc.None, map[string]string](orders, "receipt")
)

type orderV1 struct{ Item string }

type orderV2 struct {
	Item string
	Gift string // new
}

// orderV3 has another format.
type orderV3 struct{ Items []string }

// unprintable panics when it is to move.
type unprintable struct{ Item string }

func (*unprintable) MarshalState() ([]byte, error) { panic("the printer is on fire") }
func (*unprintable) UnmarshalState([]byte) error   { return nil }

// unreadable panics where it has moved to.
type unreadable struct{ Item string }

func (o *unreadable) MarshalState() ([]byte, error) { return []byte(o.Item), nil }
func (*unreadable) UnmarshalState([]byte) error     { panic("the glasses are broken") }

// release is a kind of orders as one release has it.
func release[S any](first S, receiptOf func(*S) map[string]string, cfg sessionproc.KindConfig) []sessionproc.AnyKind {
	k := sessionproc.NewKind(orders, func(context.Context, sessionproc.None) (*S, error) { s := first; return &s, nil },
		cfg)
	sessionproc.HandleCall(k, receipt, func(s *S, _ context.Context, _ sessionproc.None) (map[string]string,
		error) {
		return receiptOf(s), nil
	})
	return []sessionproc.AnyKind{newCounters(), k}
}

func v1(cfg sessionproc.KindConfig) []sessionproc.AnyKind {
	return release(orderV1{Item: "tea"}, func(o *orderV1) map[string]string { return map[string]string{"item": o.Item} },
		cfg)
}

func v2() []sessionproc.AnyKind {
	return release(orderV2{Item: "tea", Gift: "cup"}, func(o *orderV2) map[string]string {
		return map[string]string{"item": o.Item, "gift": o.Gift}
	}, sessionproc.KindConfig{})
}

// joinWith starts a node of that release beside others.
func joinWith(t *testing.T, slot string, kinds []sessionproc.AnyKind, others ...*member) *member {
	t.Helper()
	return join(t, node.Config{Slot: slot, Kinds: kinds}, others...)
}

// goingTo makes IDs that will live on slot, when all slots serve.
func goingTo(t *testing.T, count int, slot string, slots ...string) (ids []string) {
	t.Helper()
	table, err := ring.New(ring.Config{}, slots)
	require.NoError(t, err)
	for len(ids) < count {
		id := sessionproc.NewID()
		if owner, _ := table.OwnerOf(id); owner == slot {
			ids = append(ids, id)
		}
	}
	return ids
}

// startOrders starts orders that are all on one node.
func startOrders(t *testing.T, at *member, ids []string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, orders.Start(t.Context(), at, id, sessionproc.None{}))
	}
}

// requireReceipts calls every order from every node.
func requireReceipts(t *testing.T, want map[string]string, ids []string, from ...*member) {
	t.Helper()
	for _, n := range from {
		for _, id := range ids {
			got, err := receipt.Call(t.Context(), n, id, sessionproc.None{})
			require.NoError(t, err, "from %s", n.Slot())
			require.Equal(t, want, got, "from %s", n.Slot())
		}
	}
}

// awaitSessions waits until a node has that many sessions.
func (m *member) awaitSessions(t *testing.T, count int) {
	t.Helper()
	require.Eventually(t, func() bool { return m.Sessions() == count }, 30*time.Second, 2*time.Millisecond,
		"%s has %d sessions, not %d", m.Slot(), m.Sessions(), count)
}

func TestAcceptance26_FieldsOfANewerReleaseSurviveAnOlderOne(t *testing.T) {
	ids := goingTo(t, 5, "b", "a", "b")
	a := joinWith(t, "a", v2())
	startOrders(t, a, ids)
	b := joinWith(t, "b", v1(sessionproc.KindConfig{}), a)
	b.awaitSessions(t, len(ids))
	requireReceipts(t, map[string]string{"item": "tea"}, ids, a, b)
	require.NoError(t, b.Leave(t.Context()))
	requireReceipts(t, map[string]string{"item": "tea", "gift": "cup"}, ids, a)
}

func TestAcceptance26_LowerSchemaRefuses(t *testing.T) {
	ids := goingTo(t, 5, "b", "a", "b")
	a := joinWith(t, "a", v1(sessionproc.KindConfig{Schema: 2}))
	startOrders(t, a, ids)
	b := joinWith(t, "b", v1(sessionproc.KindConfig{Schema: 1}), a)
	requireRefusal(t, a, b, "schema 2", "order", "node b")
	requireReceipts(t, map[string]string{"item": "tea"}, ids, a, b)
	require.Equal(t, len(ids), a.Sessions())
}

func TestAcceptance26_HigherSchemaMigrates(t *testing.T) {
	ids := goingTo(t, 5, "b", "a", "b")
	a := joinWith(t, "a", v1(sessionproc.KindConfig{Schema: 1}))
	startOrders(t, a, ids)
	b := joinWith(t, "b",
		release(orderV3{}, func(o *orderV3) map[string]string { return map[string]string{"first": o.Items[0]} },
			sessionproc.KindConfig{Schema: 2, Migrate: sessionproc.MigrateFrom(func(_ int, old orderV1) (*orderV3, error) {
				return &orderV3{Items: []string{old.Item}}, nil
			})}), a)
	b.awaitSessions(t, len(ids))
	requireReceipts(t, map[string]string{"first": "tea"}, ids, a, b)
}

// requireRefusal waits until both nodes have logged why b takes no session of a.
func requireRefusal(t *testing.T, a, b *member, words ...string) {
	t.Helper()
	for _, m := range []*member{a, b} {
		require.Eventually(t, func() bool { return len(m.log.with(append(words, "refused")...)) > 0 }, 10*time.Second,
			2*time.Millisecond,
			"%s has to say why: %s", m.Slot(), m.log.text())
	}
}

func TestAcceptance27_ANodeWithoutTheKindRefusesItsSessions(t *testing.T) {
	ids := goingTo(t, 6, "b", "a", "b")
	ids, missing := ids[:5], ids[5]
	a := joinWith(t, "a", v2())
	startOrders(t, a, ids)
	b := joinWith(t, "b", []sessionproc.AnyKind{newCounters()}, a)
	requireRefusal(t, a, b, `node b was not given kind "order"`)
	requireReceipts(t, map[string]string{"item": "tea", "gift": "cup"}, ids, a, b)
	require.Equal(t, len(ids), a.Sessions())

	for _, n := range []*member{a, b} {
		err := orders.Start(t.Context(), n, missing, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrUnknownKind)
		require.ErrorContains(t, err, `node b was not given kind "order"`)
		_, err = receipt.Call(t.Context(), n, missing, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrUnknownKind, "it could not be there")
		require.ErrorContains(t, err, `node b was not given kind "order"`)
	}
	require.NoError(t, b.Leave(t.Context()))
	requireReceipts(t, map[string]string{"item": "tea", "gift": "cup"}, ids, a)
	startOrders(t, a, []string{missing})
}

func TestAcceptance22_PanicInMarshalStateIsContained(t *testing.T) {
	ids := goingTo(t, 5, "b", "a", "b")
	kinds := func() []sessionproc.AnyKind {
		return release(unprintable{Item: "tea"},
			func(o *unprintable) map[string]string { return map[string]string{"item": o.Item} },
			sessionproc.KindConfig{})
	}
	a := joinWith(t, "a", kinds())
	startOrders(t, a, ids)
	counted := goingTo(t, 1, "b", "a", "b")[0]
	require.NoError(t, counters.Start(t.Context(), a, counted, 7))
	b := joinWith(t, "b", kinds(), a)
	b.awaitSessions(t, 1)
	requireReceipts(t, map[string]string{"item": "tea"}, ids, a, b)
	a.awaitSessions(t, len(ids)) // they stay, and a has forgotten the one that moved
	require.NotEmpty(t, a.log.with("a session cannot move", `kind "order"`))
	require.NotEmpty(t, a.log.with("the printer is on fire", "reference"))
	require.Empty(t, b.log.with("the printer is on fire"), "only the owner knows")
	n, err := get.Call(t.Context(), b, counted, sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, 7, n, "others move")
}

func TestAcceptance22_PanicsWhereASessionArrivesAreContained(t *testing.T) {
	const text = "the glasses are broken"
	own := func() []sessionproc.AnyKind {
		return release(unreadable{Item: "tea"},
			func(o *unreadable) map[string]string { return map[string]string{"item": o.Item} },
			sessionproc.KindConfig{})
	}
	for name, releases := range map[string][2][]sessionproc.AnyKind{
		"UnmarshalState": {own(), own()},
		"Migrate": {v1(sessionproc.KindConfig{Schema: 1}), v1(sessionproc.KindConfig{Schema: 2,
			Migrate: func(int, []byte) ([]byte, error) { panic(text) }})},
		"MigrateFrom": {v1(sessionproc.KindConfig{Schema: 1}), v1(sessionproc.KindConfig{Schema: 2,
			Migrate: sessionproc.MigrateFrom(func(int, orderV1) (*orderV1, error) { panic(text) })})},
	} {
		t.Run(name, func(t *testing.T) {
			ids := goingTo(t, 6, "b", "a", "b")
			ids, counted := ids[:5], ids[5]
			a := joinWith(t, "a", releases[0])
			startOrders(t, a, ids)
			require.NoError(t, counters.Start(t.Context(), a, counted, 7))
			b := joinWith(t, "b", releases[1], a)
			b.awaitSessions(t, 1)
			requireRefusal(t, a, b, `kind "order"`, "node b", "panicked")
			requireReceipts(t, map[string]string{"item": "tea"}, ids, a, b)
			a.awaitSessions(t, len(ids)) // they stay, and a has forgotten the one that moved
			require.NotEmpty(t, b.log.with(text, "reference"))
			require.Empty(t, a.log.with(text), "only the node that they did not get to knows")
			for _, n := range []*member{a, b} {
				got, err := get.Call(t.Context(), n, counted, sessionproc.None{})
				require.NoError(t, err)
				require.Equal(t, 7, got, "others move")
			}
		})
	}
}
