//go:build race

package ownership

// raceEnabled: the race detector makes exploring ten times slower, and the machine
// has nothing for it to see. Explorations are cut short.
const raceEnabled = true
