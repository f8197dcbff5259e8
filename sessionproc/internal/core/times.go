package core

import (
	"reflect"
	"sync"
	"time"
)

// times finds the times in decoded values of one type, which msgpack makes in the
// local zone of the process, and sets them to UTC, so that they are the same on
// whatever node. nil: there are none.
//
// What an untyped caller decodes into an interface is looked at as it is.
type times struct {
	kind     reflect.Kind
	is       bool // it is a time itself
	elem     *times
	fields   []timesField
	rebuilds bool // a map whose keys cannot be set again, as they may be no number
}

type timesField struct {
	index int
	times *times
}

var timesKnown sync.Map // of *times, by reflect.Type

// timesOf returns the times of a type, found once.
func timesOf(t reflect.Type) *times {
	known, ok := timesKnown.Load(t)
	if !ok {
		var w *times
		if hasTimes(t, map[reflect.Type]bool{}) {
			w = findTimes(t, map[reflect.Type]*times{})
		}
		known, _ = timesKnown.LoadOrStore(t, w)
	}
	return known.(*times)
}

func hasTimes(t reflect.Type, seen map[reflect.Type]bool) bool {
	switch {
	case t == timeType || t.Kind() == reflect.Interface:
		return true
	case seen[t] || codesItself(t):
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return hasTimes(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if !dropped(f) && hasTimes(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// findTimes makes the times of a type that has some, or contains itself.
func findTimes(t reflect.Type, made map[reflect.Type]*times) *times {
	if w := made[t]; w != nil {
		return w
	}
	w := &times{kind: t.Kind(), is: t == timeType}
	made[t] = w
	if w.is {
		return w
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		w.elem = findTimes(t.Elem(), made)
	case reflect.Map:
		k := t.Key().Kind()
		w.elem, w.rebuilds = findTimes(t.Elem(), made), k == reflect.Float32 || k == reflect.Float64
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); !dropped(f) && hasTimes(f.Type, map[reflect.Type]bool{}) {
				w.fields = append(w.fields, timesField{i, findTimes(f.Type, made)})
			}
		}
	}
	return w
}

// toUTC sets the times in v, which has an address, to UTC.
func (w *times) toUTC(v reflect.Value) {
	if w == nil {
		return
	}
	if w.is {
		t := v.Addr().Interface().(*time.Time)
		*t = t.UTC()
		return
	}
	switch w.kind {
	case reflect.Pointer:
		if !v.IsNil() {
			w.elem.toUTC(v.Elem())
		}
	case reflect.Interface:
		if !v.IsNil() && timesOf(v.Elem().Type()) != nil {
			inside := reflect.New(v.Elem().Type()).Elem()
			inside.Set(v.Elem())
			timesOf(inside.Type()).toUTC(inside)
			v.Set(inside)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			w.elem.toUTC(v.Index(i))
		}
	case reflect.Map:
		w.toUTCInMap(v)
	case reflect.Struct:
		for _, f := range w.fields {
			f.times.toUTC(v.Field(f.index))
		}
	}
}

func (w *times) toUTCInMap(v reflect.Value) {
	if v.Len() == 0 {
		return
	}
	into := v
	if w.rebuilds {
		into = reflect.MakeMapWithSize(v.Type(), v.Len())
	}
	elem := reflect.New(v.Type().Elem()).Elem()
	for all := v.MapRange(); all.Next(); {
		elem.SetIterValue(all)
		w.elem.toUTC(elem)
		into.SetMapIndex(all.Key(), elem)
	}
	if w.rebuilds {
		v.Set(into)
	}
}
