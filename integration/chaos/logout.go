package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// logouts are people who have several sessions each, and end them all from one.
type logouts struct {
	replica *replica
	ended   []bool // by person: was told that all sessions have ended
	tries   int
	failed  int
}

const (
	people      = 60 // of one replica
	ofOnePerson = 5  // sessions
	personLabel = "person"
	logoutPause = 100 * time.Millisecond
)

func (l *logouts) person(i int) string { return fmt.Sprint(l.replica.Number, "-", i) }

func (l *logouts) session(person, i int) string {
	return sessionproc.DeriveID(l.replica.Run, fmt.Sprint("of ", l.person(person), " ", i))
}

// begin starts all sessions.
func (l *logouts) begin(ctx context.Context) error {
	l.ended = make([]bool, people)
	return each(ctx, people*ofOnePerson, func(i int) error {
		return registers.Start(ctx, l.replica.node, l.session(i/ofOnePerson, i%ofOnePerson),
			birth{Mark: noMark, Person: l.person(i / ofOnePerson)})
	})
}

// run has one person after another end all sessions, once each.
func (l *logouts) run(ctx context.Context) {
	for i := range people {
		within, cancel := context.WithTimeout(ctx, requestTimeout)
		_, err := l.replica.node.TerminateLabelled(within, personLabel, l.person(i))
		cancel()
		l.tries++
		if err != nil {
			l.failed++
		}
		l.ended[i] = err == nil
		time.Sleep(logoutPause)
	}
}

// end ends them all, and says which sessions are there that were said to have ended, and which are not that
// nobody has ended.
func (l *logouts) end(ctx context.Context) (wrong []string) {
	for i := range people {
		for k := range ofOnePerson {
			_, err := read.Call(ctx, l.replica.node, l.session(i, k), sessionproc.None{})
			there := err == nil
			if there {
				err = l.replica.node.Terminate(ctx, l.session(i, k))
			}
			switch {
			case there && l.ended[i]:
				wrong = append(wrong, fmt.Sprintf("session %d of person %s is there after the person's logout", k, l.person(i)))
			case err != nil && !errors.Is(err, sessionproc.ErrNotFound):
				wrong = append(wrong, fmt.Sprintf("session %d of person %s: %v", k, l.person(i), err))
			}
		}
	}
	return wrong
}
