package nodetest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// checkArrival has a state that was decoded arrive, and wants what travels to be as it
// was. An error of OnArrive is no fault of the kind: what that needs may not be there.
func checkArrival(t testing.TB, kind sessionproc.AnyKind, p engine.ContractPart, coded []byte) error {
	t.Helper()
	before, err := decode(p, coded)
	if err != nil {
		return err
	}
	came, err := decode(p, coded)
	if err != nil {
		return err
	}
	ctx, session := Context(t, SessionConfig{Kind: kind})
	defer session.End()
	a := sessionproc.Arrival{Reason: sessionproc.ArrivalMoved}
	failed, err := engine.ArriveState(ctx, kind, came.Addr().Interface(), a)
	if err != nil {
		return err
	}
	if failed != nil {
		t.Logf("nodetest: %s: %v", p.Name, failed)
	}
	again, err := encode(p, came)
	if err != nil {
		return fmt.Errorf("a sample that has arrived does not encode: %w", err)
	}
	after, err := decode(p, again)
	if err != nil {
		return fmt.Errorf("a sample that has arrived does not decode again: %w", err)
	}
	if difference := compare(reflect.Indirect(came).Type().String(), before, after); difference != "" {
		return fmt.Errorf("OnArrive changes what travels, which counts as no change: %s", difference)
	}
	return nil
}
