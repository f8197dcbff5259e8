package nodetest

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc"
)

const goldenExt = ".golden"

// goldens are the golden files of one kind.
type goldens struct {
	dir string
	err error               // reading them
	of  map[string][]golden // by the name of the part
}

type golden struct {
	path  string
	coded []byte
}

func newGoldens(dir, kind string) *goldens {
	g := &goldens{dir: filepath.Join(dir, url.PathEscape(kind)), of: map[string][]golden{}}
	var paths []string
	if paths, g.err = filepath.Glob(filepath.Join(escapeGlob(g.dir), "*"+goldenExt)); g.err != nil {
		return g
	}
	slices.Sort(paths)
	for _, path := range paths {
		coded, err := os.ReadFile(path)
		if err != nil {
			g.err = err
			return g
		}
		stem := strings.TrimSuffix(filepath.Base(path), goldenExt)
		if i := strings.LastIndexByte(stem, '-'); i >= 0 {
			stem = stem[:i]
		}
		part, err := url.PathUnescape(stem)
		if err != nil {
			part = stem
		}
		g.of[part] = append(g.of[part], golden{path, coded})
	}
	return g
}

// escapeGlob makes a path a pattern that matches nothing but itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(path)
}

// hold sees to it that a file has a sample's encoding.
func (g *goldens) hold(p sessionproc.ContractPart, coded []byte, write bool) error {
	for _, have := range g.of[p.Name] {
		if sameBytes(p, have.coded, coded) {
			return nil
		}
	}
	if !write {
		return fmt.Errorf("no golden file in %s has a sample as this release writes it: run the test with -nodetest.update and commit the new file", g.dir)
	}
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return err
	}
	for number := 1; ; number++ {
		path := filepath.Join(g.dir, fmt.Sprintf("%s-%03d%s", url.PathEscape(p.Name), number, goldenExt))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.Write(coded)
		g.of[p.Name] = append(g.of[p.Name], golden{path, coded})
		return errors.Join(err, f.Close())
	}
}

// sameBytes reports whether two encodings mean the same: maps have no order.
func sameBytes(p sessionproc.ContractPart, a, b []byte) bool {
	if slices.Equal(a, b) {
		return true
	}
	if codesItself(p) || p.Type == reflect.TypeFor[[]byte]() {
		return false
	}
	x, errX := anything(a)
	y, errY := anything(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// check reports every file that this release does not understand wholly.
func (g *goldens) check(parts []sessionproc.ContractPart) (faults []error) {
	if g.err != nil {
		return []error{g.err}
	}
	for name, files := range g.of {
		i := slices.IndexFunc(parts, func(p sessionproc.ContractPart) bool { return p.Name == name })
		for _, f := range files {
			if i < 0 {
				faults = append(faults, fmt.Errorf("%s: the kind has no %s any more, and nodes of an earlier release still send it", f.path, name))
			} else if err := understood(parts[i], f.coded); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", f.path, err))
			}
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return faults
}

// understood checks that nothing is lost of what an earlier release wrote.
func understood(p sessionproc.ContractPart, coded []byte) error {
	v, err := decode(p, coded)
	if err != nil {
		return fmt.Errorf("it does not decode any more: %w", err)
	}
	again, err := roundTrip(p, v)
	if err != nil {
		return err
	}
	if codesItself(p) || p.Type == reflect.TypeFor[[]byte]() {
		return nil
	}
	before, err := anything(coded)
	if err != nil {
		return err
	}
	after, err := anything(again)
	if err != nil {
		return err
	}
	if loss := lost(p.Type.String(), before, after); loss != "" {
		return fmt.Errorf("this release does not keep all of it: %s", loss)
	}
	return nil
}

// anything decodes a message without its type.
func anything(coded []byte) (any, error) {
	d := msgpack.NewDecoder(bytes.NewReader(coded))
	d.SetMapDecoder(func(d *msgpack.Decoder) (any, error) { return d.DecodeUntypedMap() })
	return d.DecodeInterface()
}
