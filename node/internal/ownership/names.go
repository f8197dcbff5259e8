package ownership

import "slices"

// contains reports whether names, which are sorted, contain name.
func contains(names []string, name string) bool {
	_, ok := slices.BinarySearch(names, name)
	return ok
}

func addName(names []string, name string) []string {
	i, ok := slices.BinarySearch(names, name)
	if ok {
		return names
	}
	return slices.Insert(names, i, name)
}

func dropName(names []string, name string) []string {
	i, ok := slices.BinarySearch(names, name)
	if !ok {
		return names
	}
	if len(names) == 1 {
		return nil
	}
	return slices.Delete(names, i, i+1)
}
