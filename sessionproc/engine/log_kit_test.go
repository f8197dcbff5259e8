package engine_test

import (
	"testing"

	"github.com/sessionproc/sessionproc/internal/logtest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// journal keeps what a table logs.
type journal struct{ logtest.Log }

func (j *journal) into(c *engine.TableConfig) { c.Logger = j.Logger() }

// newLogged is newLocal with what its table logs.
func newLogged(t testing.TB, kinds ...sessionproc.AnyKind) (*local, *journal) {
	log := new(journal)
	return newLocalWith(t, log.into, kinds...), log
}
