package node_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// A rogue does in its own code whatever code can do that does not return a value: at the
// place that a message, a state or a session's ID names.
type (
	// act is what is done, and where.
	act struct{ Where, What string }
	// note is an act that travels, by methods of its own.
	missive struct{ Act act }
	// rogue is a state, which travels by methods of its own.
	rogue struct{ Act act }
	// looping wraps itself, directly and by the way of others.
	looping struct{ many bool }
	// endless wraps ever further ones.
	endless struct{ n int }
	// spiteful is an error one of whose methods does something.
	spiteful struct{ act act }
	// plainNil is an error by a method that does not take nil.
	plainNil struct{ text string }
)

var (
	rogues     = sessionproc.KindOf[missive]("rogue")
	toughs     = sessionproc.KindOf[missive]("tough rogue") // goes on after a crash
	lastCall   = sessionproc.MethodOf[missive, missive](toughs, "call")
	rogueCall  = sessionproc.MethodOf[missive, missive](rogues, "call")
	rogueBegin = sessionproc.MethodOf[sessionproc.None, string](rogues, "begin") // starts it
	rogueCast  = sessionproc.NoticeOf[missive](rogues, "cast")
	rogueNews  = sessionproc.EventOf[missive](rogues, "news")
	errRogue   = sessionproc.NewError("rogue", "a rogue's own")
)

func (e *looping) Error() string { return "a ring" }
func (e *looping) Unwrap() []error {
	if e.many {
		return []error{errors.New("another"), e, e}
	}
	return []error{e}
}
func (e endless) Error() string   { return "endless" }
func (e endless) Unwrap() error   { return endless{e.n + 1} }
func (e *plainNil) Error() string { return e.text }
func (e spiteful) Error() string  { e.act.at("Error"); return "spiteful" }
func (e spiteful) Is(error) bool  { e.act.at("Is"); return false }
func (e spiteful) As(any) bool    { e.act.at("As"); return false }
func (e spiteful) Unwrap() error  { e.act.at("Unwrap"); return nil }
func (a act) at(where string) error { // what is done at a place, if it is that
	if a.Where == where {
		return a.do()
	}
	return nil
}

// acts are all that can be done.
var acts = []string{"panics", "panics with a ring", "panics with itself", "exits", "returns a nil pointer",
	"returns a ring", "returns a ring of many",
	"returns endless", "returns its own", "returns not found", "panics in Error", "exits in Error", "exits in Is",
	"exits in As",
	"exits in Unwrap", "panics in Unwrap"}

func (a act) do() error {
	verb, where, _ := strings.Cut(a.What, " in ")
	if where != "" {
		return spiteful{act{where, verb}}
	}
	switch a.What {
	case "panics":
		panic("rogue")
	case "panics with a ring":
		panic(&looping{})
	case "panics with itself":
		panic(spiteful{act{"Error", "panics with itself"}})
	case "exits":
		runtime.Goexit()
	case "returns a nil pointer":
		return (*plainNil)(nil)
	case "returns a ring":
		return &looping{}
	case "returns a ring of many":
		return &looping{many: true}
	case "returns endless":
		return endless{}
	case "returns its own":
		return fmt.Errorf("it is %w", errRogue)
	case "returns not found":
		return sessionproc.ErrNotFound
	}
	return nil
}

func (m missive) EncodeMsgpack(e *msgpack.Encoder) error {
	if err := m.Act.at("encode"); err != nil {
		return err
	}
	return e.EncodeString(m.Act.Where + "/" + m.Act.What)
}

func (m *missive) DecodeMsgpack(d *msgpack.Decoder) error {
	s, err := d.DecodeString()
	if err != nil {
		return err
	}
	m.Act.Where, m.Act.What, _ = strings.Cut(s, "/")
	return m.Act.at("decode")
}

func (r *rogue) MarshalState() ([]byte, error) {
	if err := r.Act.at("marshal"); err != nil {
		return nil, err
	}
	return []byte(r.Act.Where + "/" + r.Act.What), nil
}

func (r *rogue) UnmarshalState(b []byte) error {
	r.Act.Where, r.Act.What, _ = strings.Cut(string(b), "/")
	return r.Act.at("unmarshal")
}

func (r *rogue) ended(context.Context, sessionproc.Reason) { _ = r.Act.at("terminate") }

func (r *rogue) merge(_ context.Context, other *rogue) error {
	if err := other.Act.at("merge"); err != nil {
		return err
	}
	return r.Act.at("merge")
}

// ofID is the act that the ID of a session names, for a start without argument.
func ofID(id string) act {
	for i, what := range acts {
		if strings.HasPrefix(id, fmt.Sprintf("begin-%d-", i)) {
			return act{"start", what}
		}
	}
	return act{}
}

func newRogues() sessionproc.AnyKind {
	type none = sessionproc.None
	k := sessionproc.NewKind(rogues, startRogue, sessionproc.KindConfig{})
	k.OnEnd((*rogue).ended)
	k.OnMerge((*rogue).merge)
	sessionproc.HandleCall(k, rogueCall, func(r *rogue, ctx context.Context, m missive) (missive, error) {
		switch m.Act.Where {
		case "marshal", "unmarshal", "present", "terminate", "merge":
			r.Act = m.Act
		case "reply":
			return missive{act{"encode", m.Act.What}}, nil
		case "reply is decoded":
			return missive{act{"decode", m.Act.What}}, nil
		case "timer":
			err := rogueCast.AfterNamed(ctx, "timer", 1, missive{act{"cast", m.Act.What}})
			return missive{}, err
		case "publish":
			return missive{}, rogueNews.Publish(ctx, missive{act{"encode", m.Act.What}})
		}
		return missive{}, m.Act.at("call")
	})
	sessionproc.HandleCall(k, rogueBegin, func(*rogue, context.Context, none) (string, error) { return "begun", nil },
		sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleCast(k, rogueCast, func(_ *rogue, _ context.Context, m missive) error { return m.Act.at("cast") })
	sessionproc.HandleEvent(k, rogueNews, func(r *rogue) missive { _ = r.Act.at("present"); return missive{} })
	return k
}

func startRogue(ctx context.Context, m missive) (*rogue, error) {
	if m.Act.Where == "" {
		m.Act = ofID(sessionproc.FromContext(ctx).ID())
	}
	return &rogue{}, m.Act.at("start")
}

func newToughRogues() sessionproc.AnyKind {
	k := sessionproc.NewKind(toughs, startRogue, sessionproc.KindConfig{Restart: sessionproc.RestartLastState})
	k.OnEnd((*rogue).ended)
	k.OnMerge((*rogue).merge)
	sessionproc.HandleCall(k, lastCall, func(r *rogue, _ context.Context, m missive) (missive, error) {
		switch m.Act.Where {
		case "marshal", "unmarshal", "terminate":
			r.Act = m.Act
		}
		return missive{}, m.Act.at("call")
	})
	return k
}
