package handover

import (
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/node/internal/teststep"
)

// Tests crash nodes at these steps. In production Env.OnStep is nil, and nothing here does anything.

// step tells of a step.
func (d *Driver) step(s teststep.Step, peer string) {
	if f := d.env.OnStep; f != nil {
		f(s, peer)
	}
}

// stepOf returns the step of what is said about standbys: keep of a record, discard of all else.
func stepOf(what ownership.What, keep, discard teststep.Step) teststep.Step {
	if what == ownership.ToKeep {
		return keep
	}
	return discard
}

// saidSteps tells of what was said about standbys.
func (d *Driver) saidSteps(said []standby.Answer) {
	for i := range said {
		told := said[i].Told
		d.env.OnStep(stepOf(told.What, teststep.RecordSent, teststep.DiscardSent), told.To)
	}
}

// decidedStep tells of a standby that was stored or discarded here; the answer has not left.
func (d *Driver) decidedStep(h *standby.Heard, v ownership.Verdict) {
	if d.env.OnStep != nil && (v == ownership.Taken || v == ownership.Cleared) {
		d.env.OnStep(stepOf(h.What, teststep.RecordStored, teststep.DiscardDone), h.From)
	}
}

// answeredSteps tells of answers that have come; nobody knows of them yet.
func (d *Driver) answeredSteps(all []standby.Answer) {
	if d.env.OnStep == nil {
		return
	}
	for i := range all {
		if told, v := all[i].Told, all[i].Verdict; v == ownership.Taken || v == ownership.Cleared {
			d.env.OnStep(stepOf(told.What, teststep.RecordAcked, teststep.DiscardAcked), told.To)
		}
	}
}

// messageStep tells of a message of the machine that is sent or was heard.
func (d *Driver) messageStep(kind ownership.Kind, active, recovers teststep.Step, peer string) {
	switch {
	case d.env.OnStep == nil:
	case kind == ownership.Active:
		d.env.OnStep(active, peer)
	case kind == ownership.Recover:
		d.env.OnStep(recovers, peer)
	}
}
