package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// NewID is in nothing that is encoded, printed or logged, in whatever an Ended is.
func TestNewIDOfAnEndedIsNeitherPrintedNorEncoded(t *testing.T) {
	const oldID, newID = "the-old-session", "the-new-session"
	e := sessionproc.Ended{ID: oldID, Reason: sessionproc.ReasonRenewed, NewID: newID}
	type holder struct {
		Name string
		End  sessionproc.Ended
		Ref  *sessionproc.Ended
		All  []sessionproc.Ended
		By   map[string]sessionproc.Ended
	}
	for name, v := range map[string]any{
		"value": e, "pointer": &e, "struct": holder{"x", e, &e, []sessionproc.Ended{e}, map[string]sessionproc.Ended{"a": e}},
		"slice": []sessionproc.Ended{e}, "map": map[string]*sessionproc.Ended{"a": &e}, "wrapped": fmt.Errorf("so: %w", &e),
		"joined": errors.Join(&e),
	} {
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			l := slog.New(h)
			l.Info("it", "end", v)
			l.Info("it", slog.Any("end", v), slog.Group("g", "end", v))
			l.With("end", v).WithGroup("g").Info(fmt.Sprint(v))
		}
		coded, err := json.Marshal(v)
		require.NoError(t, err)
		log.Write(coded)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			_, _ = fmt.Fprintf(&log, verb, v)
		}
		require.NotContains(t, log.String(), newID, name)
		require.NotContains(t, log.String(), fmt.Sprintf("%x", newID), name)

		packed, err := msgpack.Marshal(v)
		if err == nil { // an error that wraps it has no fields
			require.NotContains(t, string(packed), newID, name)
		}
		if name == "value" || name == "pointer" {
			require.NoError(t, err)
			ours, err := core.Encode(nil, v, 0)
			require.NoError(t, err)
			require.Equal(t, packed, ours)
			require.Contains(t, string(packed), oldID)
		}
	}
	c := core.NewCodec[sessionproc.Ended]()
	payload, err := c.Encode(nil, &e, 0)
	require.NoError(t, err)
	var arrived sessionproc.Ended
	require.NoError(t, c.Decode(payload, false, &arrived))
	require.Equal(t, sessionproc.Ended{ID: oldID, Reason: sessionproc.ReasonRenewed}, arrived,
		"a message, an event or a state has it not either")
}

// The message of a watch is what an earlier release sent and reads, with one field more.
func TestWatchMessageIsReadByEarlierReleases(t *testing.T) {
	type ended struct { // as it was
		ID     string
		Reason sessionproc.Reason
	}
	for _, m := range []core.EndedMessage{{ID: "a", Reason: "crashed"}, {ID: "a", Reason: "renewed", NewID: "b"}} {
		payload, err := core.Encode(nil, &m, 0)
		require.NoError(t, err)
		var before ended
		require.NoError(t, msgpack.Unmarshal(payload, &before))
		require.Equal(t, ended{m.ID, sessionproc.Reason(m.Reason)}, before)
		if m.NewID == "" {
			was, err := core.Encode(nil, &before, 0)
			require.NoError(t, err)
			require.Equal(t, was, payload)
		}
		var now sessionproc.Ended
		require.NoError(t, msgpack.Unmarshal(payload, &now))
		require.Equal(t, sessionproc.Ended{ID: m.ID, Reason: sessionproc.Reason(m.Reason), NewID: m.NewID}, now)
	}
}

// Only a watch asks for the new ID, and only a watch is told; what others send and get
// is as an earlier release wrote it.
func TestOnlyAWatchIsToldTheNewID(t *testing.T) {
	end := &ending{id: "old", incarnation: somewhere.Incarnation, reason: sessionproc.ReasonRenewed, newID: "new"}
	for _, renewal := range []bool{false, true} {
		for _, event := range []string{"", "changed"} {
			b := end.reply(event, poll{at: somewhere, renewal: renewal})
			n, err := parseNews(b)
			require.NoError(t, err)
			require.Equal(t, sessionproc.ReasonRenewed, n.reason)
			require.Equal(t, renewal && event == "", n.newID == "new")
			require.Equal(t, renewal && event == "", strings.HasSuffix(string(b), "new"))
			if n.newID == "" {
				require.Equal(t, byte(0x95), b[0], "five elements, as ever")
			}
		}
	}
	_, err := parseNews((&pollReply{at: somewhere, reason: sessionproc.ReasonRenewed, newID: "no/ID"}).append(nil))
	require.ErrorContains(t, err, "an ID that is none")
}
