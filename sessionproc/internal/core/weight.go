package core

import "reflect"

// Weight is the size of an encoded state, or more than what is warned of.
func (k *Kind) Weight(state any) (int, error) {
	if own, ok := state.(StateCoder); ok {
		b, err := own.MarshalState()
		return len(b), UserError(err)
	}
	return encodedSize(state, k.Settings.WarnState)
}

// MostEncoded is how many bytes an encoded t has at most; 0: there is no bound, or
// it is not known.
func MostEncoded(t reflect.Type) int {
	const header = 5 // of an array, a map, a string
	switch k := t.Kind(); {
	case t == timeType:
		return 15
	case codesItself(t):
		return 0
	case k == reflect.Array && t.Elem().Kind() == reflect.Uint8:
		return header + t.Len()
	case k == reflect.Array:
		if most := MostEncoded(t.Elem()); most > 0 {
			return header + t.Len()*most
		}
		return 0
	case k == reflect.Struct:
		all := header
		for _, m := range layoutOf(t).fields {
			most := MostEncoded(m.field.Type)
			if most == 0 {
				return 0
			}
			all += header + len(m.name) + most
		}
		return all
	case reflect.Bool <= k && k <= reflect.Float64 && k != reflect.Uintptr:
		return 9
	}
	return 0
}
