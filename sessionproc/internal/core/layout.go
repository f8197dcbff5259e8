package core

import (
	"fmt"
	"reflect"
)

// layout is a struct as msgpack writes and reads it: a map by field name, the fields
// of embedded structs among those of the struct itself.
type layout struct {
	fields []*member
	byName map[string]*member // what is read under a name; aliases and embedded structs have some too
	fault  string             // why what is written is not what is read, or ""
}

// member is a field in a layout.
type member struct {
	name  string // on the wire
	path  string // in Go: "Base.ID"
	field reflect.StructField
	omits bool // left out if it is empty
}

// layoutOf finds the layout of a struct by the rules of msgpack.
func layoutOf(t reflect.Type) *layout {
	l := &layout{byName: map[string]*member{}}
	omits := false
	for f := range t.Fields() {
		tag := tagOf(f)
		if f.Name == "_msgpack" && tag.HasOption("omitempty") {
			omits = true
		}
		if dropped(f) {
			continue
		}
		m := &member{name: tag.Name, path: f.Name, field: f, omits: omits || tag.HasOption("omitempty")}
		if m.name == "" {
			m.name = f.Name
		}
		if f.Anonymous && !tag.HasOption("noinline") && l.embed(m, tag.HasOption("inline")) {
			l.give(m.name, m)
			continue
		}
		if f.Anonymous && !f.IsExported() {
			l.fail("%s is embedded and cannot be written with the fields around it; give it a name", f.Name)
		}
		l.add(m)
		if alias, ok := tag.Options["alias"]; ok {
			l.give(alias, m)
		}
	}
	return l
}

func (l *layout) add(m *member) {
	if t := m.field.Type; m.omits && t.Kind() == reflect.Struct && codesItself(t) && !t.Implements(zeroType) {
		l.fail("%s has the option omitempty, which takes any %v for empty; take that away, or use a pointer", m.path, t)
	}
	l.fields = append(l.fields, m)
	l.give(m.name, m)
}

const clash = "%s and %s are both %q on the wire; give one of them a tag, or name the embedded field"

// give has what is read under a name go to m.
func (l *layout) give(name string, m *member) {
	if other := l.byName[name]; other != nil {
		l.fail(clash, other.path, m.path, name)
	}
	l.byName[name] = m
}

func (l *layout) fail(format string, args ...any) {
	if l.fault == "" {
		l.fault = fmt.Sprintf(format, args...)
	}
}

// embed puts the fields of an embedded struct among the others; false: it stays a
// field itself, as it codes itself or shares a name with one that came before it.
func (l *layout) embed(m *member, wanted bool) bool {
	t := m.field.Type
	if t.Kind() != reflect.Struct || codesItself(t) {
		if wanted {
			l.fail("%s has the option inline, and is no struct with fields to put in its place; take that away", m.path)
		}
		return false
	}
	inner := layoutOf(t)
	for _, f := range inner.fields {
		if l.byName[f.name] != nil {
			if wanted {
				l.fail(clash, l.byName[f.name].path, m.path+"."+f.path, f.name)
			}
			return false
		}
	}
	for _, f := range inner.fields {
		f.path = m.path + "." + f.path
		l.add(f)
	}
	return true
}
