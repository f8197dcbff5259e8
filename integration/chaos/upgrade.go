package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// nextTag builds the release that has a field and a method more.
const nextTag = "chaosnext"

// upgradeName is the scenario that begins with the program of -from.
const upgradeName = "upgrade"

// upgrade takes every node to the next release, where the new field of every
// session is set; back to the first one, which does not know it; and to the next
// again, where it must still be there.
func upgrade(ctx context.Context, f *fleet) (lostFields int, err error) {
	f.say("build the next release")
	next := filepath.Join(f.dir, "next")
	build := exec.CommandContext(ctx, "go", "build", "-tags", nextTag, "-o", next,
		"github.com/sessionproc/sessionproc/integration/chaos")
	if text, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the next release: %w: %s", err, text)
	}
	if err := f.deploy(ctx, next); err != nil {
		return 0, err
	}
	if _, err := f.staying()[0].do(ctx, order{Do: extended}); err != nil {
		return 0, err
	}
	for _, exe := range []string{f.from, next} {
		if err := f.deploy(ctx, exe); err != nil {
			return 0, err
		}
	}
	answer, err := f.staying()[0].do(ctx, order{Do: verify})
	return answer.Count, err
}

// deploy restarts every node as the program exe.
func (f *fleet) deploy(ctx context.Context, exe string) error {
	f.mu.Lock()
	f.exe = exe
	f.mu.Unlock()
	return rolling(ctx, f)
}
