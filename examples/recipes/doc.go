// Package recipes lists answers to what every application with sessions meets sooner or
// later. Each is a package of its own: `go doc` prints the page, and its example_test.go
// is a program that compiles and runs.
//
//	go doc ./examples/recipes/slowio
//
// Before the first deploy:
//
//   - states: what to put into a state, and what not
//   - slowio: a session that uses a slow service, such as a payment
//   - mutualcalls: two sessions that need each other
//   - timezones: times in states, messages and timers
//   - memory: how many sessions fit on a node
//   - regions: one cluster in each region, and none across regions
//   - releases: kinds, methods, fields and replies over releases
//   - comingfrom: an application that used alexedwards/scs or gorilla/sessions
//   - tests: a kind and its tests, to copy
//   - logins: references between sessions, and what a login does to them
package recipes
