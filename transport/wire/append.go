package wire

import "encoding/binary"

// AppendNil appends nil.
func AppendNil(b []byte) []byte { return append(b, 0xc0) }

// AppendBool appends v.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

// AppendUint appends v in its shortest form, 1 to 9 bytes.
func AppendUint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return appendLongUint(b, v)
}

func appendLongUint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<8:
		return append(b, 0xcc, byte(v))
	case v < 1<<16:
		return append(b, 0xcd, byte(v>>8), byte(v))
	case v < 1<<32:
		return append(b, 0xce, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
}

// AppendString appends s as a string of at most 2^32-1 bytes. It may be
// called with a []byte of text as well, without a conversion.
func AppendString[T ~string | ~[]byte](b []byte, s T) []byte {
	if len(s) < 32 {
		b = append(b, 0xa0|byte(len(s)))
	} else {
		b = appendLen(b, 0xd9, uint32(len(s)))
	}
	return append(b, s...)
}

// AppendBytes appends p as binary data of at most 2^32-1 bytes; nil is
// written as empty.
func AppendBytes(b, p []byte) []byte {
	if len(p) < 1<<8 {
		b = append(b, 0xc4, byte(len(p)))
	} else {
		b = appendLen(b, 0xc4, uint32(len(p)))
	}
	return append(b, p...)
}

// AppendArrayLen appends the header of an array of n elements, which the
// caller appends next. n is not negative and below 2^32.
func AppendArrayLen(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x90|byte(n))
	}
	return appendCount(b, 0xdc, uint32(n))
}

// AppendMapLen appends the header of a map of n keys, each of which the
// caller appends next with its value behind it. n is not negative and below 2^32.
func AppendMapLen(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x80|byte(n))
	}
	return appendCount(b, 0xde, uint32(n))
}

// appendLen appends a length of 1, 2 or 4 bytes; code is that of the shortest form.
func appendLen(b []byte, code byte, n uint32) []byte {
	switch {
	case n < 1<<8:
		return append(b, code, byte(n))
	case n < 1<<16:
		return append(b, code+1, byte(n>>8), byte(n))
	}
	return append(b, code+2, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// appendCount appends a count of 2 or 4 bytes; code is that of the shorter form.
func appendCount(b []byte, code byte, n uint32) []byte {
	if n < 1<<16 {
		return append(b, code, byte(n>>8), byte(n))
	}
	return append(b, code+1, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
