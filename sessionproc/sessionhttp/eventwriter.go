package sessionhttp

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// Types of events that are not the application's.
const (
	nameGap   = "gap"   // something is missing before the next event
	nameEnded = "ended" // the session has; data is the reason
)

// eventWriter writes Server-Sent Events (the format of HTML's EventSource). What is
// written reaches the browser with flush.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	buf     bytes.Buffer
}

func newEventWriter(w http.ResponseWriter, timeout time.Duration) *eventWriter {
	return &eventWriter{w: w, control: http.NewResponseController(w), timeout: timeout}
}

// begin sends the headers, and how long the browser is to wait before it
// reconnects.
func (e *eventWriter) begin(retry time.Duration) error {
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "private, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx
	e.w.WriteHeader(http.StatusOK)
	e.buf.WriteString("retry: ")
	e.buf.WriteString(strconv.FormatInt(retry.Milliseconds(), 10))
	e.buf.WriteString("\n\n")
	return e.flush()
}

// event writes an event; an empty name is the browser's default, an empty id leaves
// the last one.
func (e *eventWriter) event(name, id string, data []byte) {
	if name != "" {
		e.line("event: ", []byte(name))
	}
	if id != "" {
		e.line("id: ", []byte(id))
	}
	for {
		i := bytes.IndexAny(data, "\r\n")
		if i < 0 {
			break
		}
		e.line("data: ", data[:i])
		if bytes.HasPrefix(data[i:], []byte("\r\n")) {
			i++
		}
		data = data[i+1:]
	}
	e.line("data: ", data)
	e.buf.WriteByte('\n')
}

func (e *eventWriter) line(field string, value []byte) {
	e.buf.WriteString(field)
	e.buf.Write(value)
	e.buf.WriteByte('\n')
}

// comment writes what no browser shows.
func (e *eventWriter) comment() { e.buf.WriteString(":\n\n") }

// flush sends what was written, within the timeout.
func (e *eventWriter) flush() error {
	if e.buf.Len() == 0 {
		return nil
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(e.timeout)) // who cannot has a bound of its own
	_, err := e.w.Write(e.buf.Bytes())
	e.buf.Reset()
	if err != nil {
		return err
	}
	return e.control.Flush()
}

// close leaves the connection to the requests that come after.
func (e *eventWriter) close() { _ = e.control.SetWriteDeadline(time.Time{}) }
