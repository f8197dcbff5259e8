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
	"strconv"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

const goldenExt = ".golden"

// goldens are the golden files of one kind.
type goldens struct {
	kind sessionproc.AnyKind
	dir  string
	err  error               // reading them
	of   map[string][]golden // by the name of the part
}

type golden struct {
	path   string
	schema int // of a state
	coded  []byte
}

// schemaMark comes between the name of a part and its schema, if that is not 0.
const schemaMark = ".schema-"

func newGoldens(dir string, kind sessionproc.AnyKind) *goldens {
	g := &goldens{kind: kind, dir: filepath.Join(dir, url.PathEscape(kind.Name())), of: map[string][]golden{}}
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
		schema := 0
		if before, after, ok := strings.Cut(stem, schemaMark); ok {
			if n, err := strconv.Atoi(after); err == nil {
				stem, schema = before, n
			}
		}
		part, err := url.PathUnescape(stem)
		if err != nil {
			part = stem
		}
		g.of[part] = append(g.of[part], golden{path, schema, coded})
	}
	return g
}

// escapeGlob makes a path a pattern that matches nothing but itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(path)
}

// hold sees to it that a file has a sample's encoding.
func (g *goldens) hold(p engine.ContractPart, coded []byte, write bool) error {
	for _, have := range g.of[p.Name] {
		if have.schema == p.Schema && sameBytes(p, have.coded, coded) {
			return nil
		}
	}
	if !write {
		return fmt.Errorf("no golden file in %s has a sample as this release writes it: "+
			"run the test with -nodetest.update and commit the new file", g.dir)
	}
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return err
	}
	stem := url.PathEscape(p.Name)
	if p.Schema > 0 {
		stem += schemaMark + strconv.Itoa(p.Schema)
	}
	for number := 1; ; number++ {
		path := filepath.Join(g.dir, fmt.Sprintf("%s-%03d%s", stem, number, goldenExt))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.Write(coded)
		g.of[p.Name] = append(g.of[p.Name], golden{path, p.Schema, coded})
		return errors.Join(err, f.Close())
	}
}

// sameBytes reports whether two encodings mean the same: maps have no order.
func sameBytes(p engine.ContractPart, a, b []byte) bool {
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
func (g *goldens) check(parts []engine.ContractPart) (faults []error) {
	if g.err != nil {
		return []error{g.err}
	}
	for name, files := range g.of {
		i := slices.IndexFunc(parts, func(p engine.ContractPart) bool { return p.Name == name })
		for _, f := range files {
			if i < 0 {
				faults = append(faults,
					fmt.Errorf("%s: the kind has no %s any more, and nodes of an earlier release still send it", f.path, name))
			} else if err := g.understood(parts[i], f); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", f.path, err))
			}
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return faults
}

// understood checks that nothing is lost of what an earlier release wrote. What
// becomes of a state of an earlier schema is the affair of Migrate.
func (g *goldens) understood(p engine.ContractPart, f golden) error {
	coded := f.coded
	if f.schema != p.Schema {
		state, err := engine.RestoreState(g.kind, f.schema, coded)
		if err != nil {
			return fmt.Errorf("a state of schema %d does not become one of schema %d: %w", f.schema, p.Schema, err)
		}
		_, err = roundTrip(p, reflect.ValueOf(state).Elem())
		return err
	}
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
	d.SetMapDecoder(anyMap)
	return d.DecodeInterface()
}

// anyMap decodes a map without its type; keys of bytes become strings.
func anyMap(d *msgpack.Decoder) (any, error) {
	n, err := d.DecodeMapLen()
	m := make(map[any]any, max(n, 0))
	for ; n > 0 && err == nil; n-- {
		var key any
		if key, err = d.DecodeInterface(); err != nil {
			break
		}
		if b, ok := key.([]byte); ok {
			key = string(b)
		}
		m[key], err = d.DecodeInterface()
	}
	return m, err
}
