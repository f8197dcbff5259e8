// Package timezones is a recipe: times in states, messages and timers.
//
// # The problem
//
// A time.Time arrives as the same instant, in UTC. The location does not travel: a node
// may not know it, and an offset alone does not say where somebody lives. In a state the
// location lasts until the session moves, so that a program that is tried on one node
// shows the right hour, and shows another one after the first deploy.
//
// # What to write
//
// Keep the name of the location beside the instant, and apply it where the time is shown:
//
//	type Appointment struct {
//		At   time.Time
//		Zone string // "Europe/Berlin"
//	}
//
//	func (a Appointment) Local() (time.Time, error) {
//		loc, err := time.LoadLocation(a.Zone)
//		if err != nil {
//			return time.Time{}, err
//		}
//		return a.At.In(loc), nil
//	}
//
// For what is meant by the clock on the wall ("every day at nine") keep hour, minute and
// name, and no instant. Compute the instant when it is needed, as the rules of a zone
// change, and so does the offset twice a year:
//
//	type Daily struct {
//		Hour, Minute int
//		Zone         string
//	}
//
//	func (d Daily) next(now time.Time) (time.Time, error) {
//		loc, err := time.LoadLocation(d.Zone)
//		if err != nil {
//			return time.Time{}, err
//		}
//		now = now.In(loc)
//		at := time.Date(now.Year(), now.Month(), now.Day(), d.Hour, d.Minute, 0, 0, loc)
//		if !at.After(now) {
//			at = time.Date(now.Year(), now.Month(), now.Day()+1, d.Hour, d.Minute, 0, 0, loc)
//		}
//		return at, nil
//	}
//
// Notice.At sets a timer for an instant. Set the next one in the handler of the last one,
// instead of Every(24*time.Hour), which is an hour off after the change of the clocks:
//
//	func (s *Diary) remind(ctx context.Context, _ sessionproc.None) error {
//		...
//		at, err := s.Daily.next(time.Now())
//		if err != nil {
//			return err
//		}
//		return Remind.At(ctx, "daily", at, sessionproc.None{})
//	}
//
// # Traps
//
//   - Compare instants with Equal, Before and After, never with ==: two times of one
//     instant differ in their location.
//   - The zero time.Time arrives as the zero time.Time; IsZero works.
//   - The monotonic clock does not travel. time.Since of a time that was taken on another
//     node uses the wall clocks of both, which may differ by as much as their machines do.
//   - time.LoadLocation needs the zone's data. Many small images have none: import
//     time/tzdata for its side effect in package main.
//   - A name comes from the browser (Intl.DateTimeFormat().resolvedOptions().timeZone):
//     check it with time.LoadLocation when it arrives, and refuse what it refuses.
//   - Do not use time.Local in a server. It is the zone of the machine.
//
// # Bounds
//
// A timer of At fires when the clock of the node shows the instant that has its session by
// then. One of After waits for the time that was left when its session moved, so that moves
// and standstills put it off. A session that ends takes its timers along: what has to happen
// on a day next year is a row of a database, and no timer.
package timezones
