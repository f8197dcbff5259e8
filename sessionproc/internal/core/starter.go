package core

// A Starter is a start on its way into the engine. W, Part, ID, Kind and Ensure say what starts; the
// engine sets the rest.
type Starter struct {
	W      *Waiting
	Part   int
	ID     string
	Kind   string // "" for the default kind
	Ensure bool
	Waits  bool // its caller is in place, and waits next
	Placed bool // its caller holds a place to start

	// The results of the insertion.
	Host   *Host
	Head   *Head
	IsNew  bool
	Begins bool // a worker is on its way and signals W first; see Waiting.Await
	Err    error
}
