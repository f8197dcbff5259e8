package workload

import (
	"context"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Value is 64 bytes without a pointer.
type Value struct{ A, B, C, D, E, F, G, H uint64 }

// The contract of the sessions that are measured.
var (
	work      = sessionproc.KindOf[sessionproc.None]("work")
	callValue = sessionproc.MethodOf[Value, Value](work, "value")
	callMap   = sessionproc.MethodOf[sessionproc.None, map[string]int](work, "map")
	callBytes = sessionproc.MethodOf[[]byte, []byte](work, "bytes")
	count     = sessionproc.MethodOf[sessionproc.None, int64](work, "count")
	castValue = sessionproc.NoticeOf[Value](work, "cast_value")
	castBytes = sessionproc.NoticeOf[[]byte](work, "cast_bytes")
)

// session is the state of one.
type session struct{ Count int64 }

// items is what a small cart holds. All sessions reply with the same map: it
// is the copy of it that is measured.
var items = map[string]int{"tea": 2, "cup": 1, "spoon": 4}

func newKind() sessionproc.AnyKind {
	k := sessionproc.NewKind(work, func(context.Context, sessionproc.None) (*session, error) {
		return &session{}, nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, callValue, func(_ *session, _ context.Context, v Value) (Value, error) { return v, nil })
	sessionproc.HandleCall(k, callMap, func(*session, context.Context, sessionproc.None) (map[string]int, error) {
		return items, nil
	})
	sessionproc.HandleCall(k, callBytes, func(_ *session, _ context.Context, b []byte) ([]byte, error) { return b, nil })
	sessionproc.HandleCall(k, count, func(s *session, _ context.Context, _ sessionproc.None) (int64, error) {
		return s.Count, nil
	})
	sessionproc.HandleCast(k, castValue, func(s *session, _ context.Context, _ Value) error { s.Count++; return nil })
	sessionproc.HandleCast(k, castBytes, func(s *session, _ context.Context, _ []byte) error { s.Count++; return nil })
	return k
}
