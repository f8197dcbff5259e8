package nodetest

import (
	"flag"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// update is named so that it meets no flag of the test's own; see updating.
var update = flag.Bool("nodetest.update", false, "nodetest.CheckKind writes the golden files that are missing")

// updating reports whether golden files are to be written: by -nodetest.update,
// or by a flag -update that the test itself has.
func updating() bool {
	if *update {
		return true
	}
	if own := flag.Lookup("update"); own != nil {
		if g, ok := own.Value.(flag.Getter); ok {
			on, _ := g.Get().(bool)
			return on
		}
	}
	return false
}

// CheckKind checks that a kind keeps what it has when it travels: between
// nodes, and between releases.
//
// samples are values, or pointers to values, of its state, its argument and its
// requests, replies and messages, and of the arguments and results of its tasks (of a
// sessionproc.Result the type of its value): at least one of each type that is not basic
// and not sessionproc.None, with every field set to something. Each is encoded
// and decoded, and must come back equal, but for fields with the tag
// `msgpack:"-"`; an empty slice or map may come back nil.
//
// goldenDir/<kind>/ holds what releases have written, such as
// add.request-001.golden. Every file must still be understood: it decodes, and
// no field in it is lost or changed when it is encoded anew. A sample that is
// not among the files is an error, until the test runs with
//
//	go test -run TestCart -nodetest.update
//
// which adds a file for it (-update does it too, if the test defines that flag).
// Commit the files, and never change one: they are what nodes of earlier
// releases send. Delete one when no node runs its release any more.
//
// The files of states name the KindConfig.Schema that is not 0, as in
// state.schema-2-001.golden: those of earlier schemas must pass Migrate.
//
// An OnArrive must leave the fields of a state that travel as they are. CheckKind calls it
// with each sample of the state, once and outside of a cluster. An error that it returns is
// in the log of the test; a panic or a change fails the test.
//
// The kind is not used up: it may still be given to a node.
func CheckKind(t testing.TB, kind sessionproc.AnyKind, samples []any, goldenDir string) {
	t.Helper()
	parts, err := engine.Contract(kind)
	if err != nil {
		t.Errorf("nodetest: node.Start would refuse the kind: %v", err)
		return
	}
	files := newGoldens(goldenDir, kind)
	sampled := map[reflect.Type]bool{}
	for _, sample := range samples {
		v := reflect.ValueOf(sample)
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if !v.IsValid() {
			t.Errorf("nodetest: a sample is nil")
			continue
		}
		sampled[v.Type()] = true
		checkSample(t, kind, v, parts, files)
	}
	if missing := unsampled(parts, sampled); len(missing) > 0 {
		t.Errorf("nodetest: kind %q: there is no sample of %s", kind.Name(), strings.Join(missing, ", "))
	}
	for _, fault := range files.check(parts) {
		t.Errorf("nodetest: %v", fault)
	}
}

// checkSample checks one sample in every part that it can be.
func checkSample(t testing.TB, kind sessionproc.AnyKind, v reflect.Value, parts []engine.ContractPart,
	files *goldens) {
	t.Helper()
	found := false
	for _, p := range parts {
		if p.Type != v.Type() {
			continue
		}
		found = true
		coded, err := roundTrip(p, v)
		if err == nil && p.Name == "state" {
			err = checkArrival(t, kind, p, coded)
		}
		if err == nil {
			err = files.hold(p, coded, updating())
		}
		if err != nil {
			t.Errorf("nodetest: %s: %v", p.Name, err)
		}
	}
	if !found {
		t.Errorf("nodetest: a sample has the type %v, which is neither state, argument, request, reply, message "+
			"nor result of the kind", v.Type())
	}
}

// unsampled names the types that need a sample and have none.
func unsampled(parts []engine.ContractPart, sampled map[reflect.Type]bool) (missing []string) {
	for _, p := range parts {
		basic := p.Type.Kind() == reflect.String || p.Type.Kind() <= reflect.Complex128
		if !basic && p.Type != reflect.TypeFor[sessionproc.None]() && !sampled[p.Type] {
			missing = append(missing, fmt.Sprintf("%s (%v)", p.Name, p.Type))
		}
	}
	sort.Strings(missing)
	return missing
}
