package hostdump

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// codePages are the OEM and ANSI code pages of the Windows in which the console of a server may speak.
var codePages = map[string]*charmap.Charmap{
	"437": charmap.CodePage437, "850": charmap.CodePage850, "852": charmap.CodePage852, "855": charmap.CodePage855, "858": charmap.CodePage858,
	"860": charmap.CodePage860, "862": charmap.CodePage862, "863": charmap.CodePage863, "865": charmap.CodePage865, "866": charmap.CodePage866,
	"1250": charmap.Windows1250, "1251": charmap.Windows1251, "1252": charmap.Windows1252, "1253": charmap.Windows1253, "1254": charmap.Windows1254,
	"1255": charmap.Windows1255, "1256": charmap.Windows1256, "1257": charmap.Windows1257, "1258": charmap.Windows1258,
}

// decode turns the bytes of a text file into text with lines that end in "\n". UTF-16 is known by its mark, or by the zero bytes
// of a text that begins in ASCII; what is not UTF-8 is of the given code page, or of 1252 if that is not known: then letters
// beyond ASCII may come out wrong, but nothing that is read by position.
func decode(b []byte, codePage string) string {
	var text string
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		text = fromUTF16(b[2:], 0)
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		text = fromUTF16(b[2:], 1)
	case len(b) >= 4 && b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		text = fromUTF16(b, 0)
	case utf8.Valid(b):
		text = strings.TrimPrefix(string(b), "\uFEFF")
	default:
		text = decodeBytes(b, codePage)
	}
	if !strings.Contains(text, "\r") {
		return text
	}
	// wmic ends its lines in CR CR LF when its output is redirected.
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\r\n", "\n"), "\r\n", "\n")
}

// decodeBytes decodes text of one byte a letter.
func decodeBytes(b []byte, codePage string) string {
	page := codePages[codePage]
	if page == nil {
		page = charmap.Windows1252
	}
	var s strings.Builder
	s.Grow(len(b) + len(b)/8)
	for _, c := range b {
		s.WriteRune(page.DecodeByte(c))
	}
	return s.String()
}

// fromUTF16 decodes UTF-16; bigEndian is 1 if the more significant byte comes first, else 0.
func fromUTF16(b []byte, bigEndian int) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i+bigEndian]) | uint16(b[2*i+1-bigEndian])<<8
	}
	return string(utf16.Decode(units))
}

// toUTF16 is a text as the registry holds it, with its final NUL.
func toUTF16(s string) []byte {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units)+2)
	for _, u := range append(units, 0) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

// maxLine bounds a line of a text: the value of a registry may have 1 MiB, which is "00," three times as long.
const maxLine = 4 << 20

var errLine = errors.New("a line is too long")
