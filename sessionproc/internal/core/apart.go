package core

import (
	"fmt"
	"reflect"
	"runtime/debug"
)

// A user's code may panic, and it may end the goroutine it runs in (runtime.Goexit, as a
// failing assertion of a test does). In the goroutine of a session either ends that
// session, see process.run. Where the goroutine is one of the library's, with other work
// to do, the code runs in one of its own.

// Fault is why a user's code has not returned.
type Fault struct {
	Text  string // of its panic
	Stack []byte
	cause any // nil: it has called runtime.Goexit
}

const CalledGoexit = "runtime.Goexit was called"

// Apart runs f in a goroutine of its own and waits for it. nil: it has returned. It
// serves package node.
func Apart(f func()) (fault *Fault) {
	apart(f, func(cause any) { fault = FaultOf(cause) })
	return fault
}

// apart is Apart. failed is called with what recover has returned, unless f returns.
func apart(f func(), failed func(cause any)) {
	done := make(chan struct{})
	go func() { // ends with f
		returned := false
		defer func() {
			if !returned {
				failed(recover())
			}
			close(done)
		}()
		f()
		returned = true
	}()
	<-done
}

// FaultOf is the fault whose cause recover has returned, which is called where it was
// deferred. It serves package node.
func FaultOf(cause any) *Fault {
	fault := &Fault{Text: CalledGoexit, Stack: debug.Stack(), cause: cause}
	if cause != nil {
		fault.Text = Thrown(cause)
	}
	return fault
}

// Error says what has happened, but not the text of a panic, which is for the log.
func (f *Fault) Error() string {
	if f.cause == nil {
		return "a function of the program has called runtime.Goexit"
	}
	return fmt.Sprintf("a function of the program panicked: %T", f.cause)
}

// Thrown is the value of a panic for the log. Of a value that is neither an error nor
// a Stringer nor basic it is the type: printing one that contains itself would end the
// process. So it is of one whose method does not return, as package fmt would print the
// value that it panics with.
func Thrown(cause any) (text string) {
	text = fmt.Sprintf("a value of type %T", cause)
	var print func() string
	switch v := cause.(type) {
	case error:
		print = v.Error
	case fmt.Stringer:
		print = v.String
	default:
		if k := reflect.ValueOf(cause).Kind(); k == reflect.String || reflect.Bool <= k && k <= reflect.Complex128 {
			return fmt.Sprint(cause)
		}
		return text
	}
	apart(func() { text = print() }, func(any) {})
	return text
}
