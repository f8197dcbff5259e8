package timezones_test

import (
	"context"
	"fmt"
	"log"
	"time"
	_ "time/tzdata"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	Diaries = sessionproc.KindOf[sessionproc.None]("diary")
	Plan    = sessionproc.MethodOf[Appointment, sessionproc.None](Diaries, "plan")
	Next    = sessionproc.MethodOf[sessionproc.None, Appointment](Diaries, "next")
)

// Appointment is an instant, and where the person is who keeps it.
type Appointment struct {
	At   time.Time
	Zone string
}

// Local returns the time that the person's clock shows.
func (a Appointment) Local() (time.Time, error) {
	loc, err := time.LoadLocation(a.Zone)
	if err != nil {
		return time.Time{}, err
	}
	return a.At.In(loc), nil
}

type Diary struct{ Appointment Appointment }

func (d *Diary) plan(_ context.Context, a Appointment) (sessionproc.None, error) {
	if _, err := a.Local(); err != nil { // an unknown zone
		return sessionproc.None{}, err
	}
	d.Appointment = a
	return sessionproc.None{}, nil
}

func (d *Diary) next(context.Context, sessionproc.None) (Appointment, error) {
	return d.Appointment, nil
}

func newDiaries() *sessionproc.Kind[Diary, sessionproc.None] {
	k := sessionproc.NewKind(Diaries, func(context.Context, sessionproc.None) (*Diary, error) { return &Diary{}, nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, Plan, (*Diary).plan)
	sessionproc.HandleCall(k, Next, (*Diary).next)
	return k
}

// The instant arrives in UTC. The name brings the person's hour back.
func Example() {
	ctx := context.Background()
	n, err := node.Start(ctx, node.Config{Kinds: []sessionproc.AnyKind{newDiaries()}})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	if err := Diaries.Start(ctx, n, "ann", sessionproc.None{}); err != nil {
		log.Fatal(err)
	}
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		log.Fatal(err)
	}
	at := time.Date(2026, time.November, 30, 9, 0, 0, 0, tokyo)
	if _, err := Plan.Call(ctx, n, "ann", Appointment{at, "Asia/Tokyo"}); err != nil {
		log.Fatal(err)
	}

	a, err := Next.Call(ctx, n, "ann", sessionproc.None{})
	if err != nil {
		log.Fatal(err)
	}
	local, err := a.Local()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("arrived:", a.At)
	fmt.Println("local:  ", local)
	fmt.Println("equal:  ", a.At.Equal(at))
	// Output:
	// arrived: 2026-11-30 00:00:00 +0000 UTC
	// local:   2026-11-30 09:00:00 +0900 JST
	// equal:   true
}

// Daily is a time by the clock on the wall.
type Daily struct {
	Hour, Minute int
	Zone         string
}

func (d Daily) next(now time.Time) (time.Time, error) {
	loc, err := time.LoadLocation(d.Zone)
	if err != nil {
		return time.Time{}, err
	}
	now = now.In(loc)
	at := time.Date(now.Year(), now.Month(), now.Day(), d.Hour, d.Minute, 0, 0, loc)
	if !at.After(now) {
		at = time.Date(now.Year(), now.Month(), now.Day()+1, d.Hour, d.Minute, 0, 0, loc)
	}
	return at, nil
}

// The day on which the clocks change has 25 hours.
func Example_daily() {
	d := Daily{Hour: 9, Zone: "Europe/Berlin"}
	last := time.Date(2026, time.October, 24, 7, 0, 0, 0, time.UTC)
	for range 3 {
		next, err := d.next(last)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(next, "after", next.Sub(last))
		last = next
	}
	// Output:
	// 2026-10-25 09:00:00 +0100 CET after 25h0m0s
	// 2026-10-26 09:00:00 +0100 CET after 24h0m0s
	// 2026-10-27 09:00:00 +0100 CET after 24h0m0s
}
