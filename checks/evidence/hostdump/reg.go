package hostdump

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence/facts"
)

// The bounds of a registry text.
const (
	maxKeys   = 500_000
	maxValues = 4_000_000
	maxDepth  = 512 // levels, as Windows has it
)

// hives are the names of the registry's roots, long as regedit writes them and short as facts have them.
var hives = map[string]string{
	"hkey_local_machine": "HKLM", "hkey_current_user": "HKCU", "hkey_users": "HKU", "hkey_classes_root": "HKCR", "hkey_current_config": "HKCC",
}

// regKey is a key of a registry that is read from a text.
type regKey struct {
	name    string
	values  []regValue
	byName  map[string]int // place in values, by lower case name
	keys    []*regKey
	byKey   map[string]*regKey
	deleted bool
}

type regValue struct {
	facts.RegistryValue
	deleted bool
}

// splitKey is the path of a key, its hive by its short name: ["HKLM", "SOFTWARE", ...].
func splitKey(path string) []string {
	parts := strings.Split(strings.Trim(path, `\`), `\`)
	if short, ok := hives[strings.ToLower(parts[0])]; ok {
		parts[0] = short
	}
	return parts
}

// find is the key at a path, nil if it is not there.
func (k *regKey) find(path []string) *regKey {
	for _, part := range path {
		if k = k.byKey[strings.ToLower(part)]; k == nil {
			return nil
		}
	}
	return k
}

// fact is what a question is answered: the key with its values, and sub-keys down to a depth. names are lower case; none means all.
func (k *regKey) fact(depth int, names map[string]bool) facts.RegistryKey {
	out := facts.RegistryKey{Name: k.name, Exists: true}
	for _, v := range k.values {
		if !v.deleted && (len(names) == 0 || names[strings.ToLower(v.Name)]) {
			out.Values = append(out.Values, v.RegistryValue)
		}
	}
	if depth > 0 {
		for _, sub := range k.keys {
			if !sub.deleted {
				out.Keys = append(out.Keys, sub.fact(depth-1, names))
			}
		}
	}
	return out
}

// regReader reads the text that reg export or regedit wrote: "Windows Registry Editor Version 5.00", or "REGEDIT4", whose lists of
// texts are not UTF-16.
type regReader struct {
	text    string
	line    int
	version int
	// codePage is that of the texts in bytes of version 4.
	codePage     string
	root         *regKey
	key          *regKey // nil after a deletion, until the next key
	keys, values int
}

// parseReg reads a registry text into a tree whose first level are the hives. Of two values of one name the later one wins. The error
// names the line.
func parseReg(text, codePage string) (*regKey, error) {
	r := &regReader{text: text, root: &regKey{}, codePage: codePage}
	for r.text != "" {
		at := r.line + 1
		line, err := r.next()
		if err == nil {
			err = r.take(line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", at, err)
		}
	}
	if r.version == 0 {
		return nil, errors.New("it is empty")
	}
	return r.root, nil
}

// next takes one line off the text.
func (r *regReader) next() (string, error) {
	line, rest, _ := strings.Cut(r.text, "\n")
	if len(line) > maxLine {
		return "", errLine
	}
	r.text = rest
	r.line++
	return strings.TrimSuffix(line, "\r"), nil
}

// take reads what begins on a line.
func (r *regReader) take(line string) error {
	trimmed := strings.TrimSpace(line)
	switch {
	case trimmed == "" || strings.HasPrefix(trimmed, ";"):
		return nil
	case strings.EqualFold(trimmed, "REGEDIT4"):
		r.version = 4
		return nil
	case strings.HasPrefix(trimmed, "Windows Registry Editor Version 5"):
		r.version = 5
		return nil
	case r.version == 0:
		return errors.New("it does not begin as a registry text does")
	case trimmed[0] == '[':
		end := strings.LastIndexByte(trimmed, ']')
		if end < 0 {
			return errors.New("the name of a key does not end")
		}
		return r.enter(trimmed[1:end])
	case trimmed[0] == '"' || trimmed[0] == '@':
		return r.value(strings.TrimLeft(line, " \t"))
	}
	return errors.New("it is neither a key nor a value")
}

// enter goes to a key, or deletes it with all below it.
func (r *regReader) enter(name string) error {
	name, remove := strings.CutPrefix(name, "-")
	path := splitKey(name)
	if len(path) > maxDepth {
		return errors.New("a key is too deep")
	}
	r.key = nil
	if remove {
		parent := r.root.find(path[:len(path)-1])
		last := strings.ToLower(path[len(path)-1])
		if parent != nil && parent.byKey[last] != nil {
			parent.byKey[last].deleted = true
			delete(parent.byKey, last)
		}
		return nil
	}
	k := r.root
	for _, part := range path {
		lower := strings.ToLower(part)
		next := k.byKey[lower]
		if next == nil {
			if r.keys++; r.keys > maxKeys {
				return fmt.Errorf("more than %d keys", maxKeys)
			}
			next = &regKey{name: part}
			if k.byKey == nil {
				k.byKey = map[string]*regKey{}
			}
			k.byKey[lower] = next
			k.keys = append(k.keys, next)
		}
		k = next
	}
	r.key = k
	return nil
}

// value reads "NAME"=DATA, whose data may go on over the next lines.
func (r *regReader) value(line string) error {
	name := ""
	if line[0] == '"' {
		var err error
		if name, line, err = r.quoted(line[1:]); err != nil {
			return err
		}
	} else {
		line = line[1:]
	}
	line = strings.TrimLeft(line, " \t")
	data, ok := strings.CutPrefix(line, "=")
	if !ok {
		return errors.New("a value has no data")
	}
	v := regValue{RegistryValue: facts.RegistryValue{Name: name}}
	if err := r.data(&v, strings.TrimSpace(data)); err != nil {
		return err
	}
	if r.key == nil {
		return errors.New("a value stands outside of a key")
	}
	if r.values++; r.values > maxValues {
		return fmt.Errorf("more than %d values", maxValues)
	}
	lower := strings.ToLower(name)
	if at, ok := r.key.byName[lower]; ok {
		r.key.values[at] = v
		return nil
	}
	if v.deleted {
		return nil
	}
	if r.key.byName == nil {
		r.key.byName = map[string]int{}
	}
	r.key.byName[lower] = len(r.key.values)
	r.key.values = append(r.key.values, v)
	return nil
}

// data reads what stands after the equals sign.
func (r *regReader) data(v *regValue, s string) error {
	lower := strings.ToLower(s)
	switch {
	case s == "-":
		v.deleted = true
		return nil
	case strings.HasPrefix(s, `"`):
		text, rest, err := r.quoted(s[1:])
		if err != nil {
			return err
		}
		if rest = strings.TrimSpace(rest); rest != "" && rest[0] != ';' {
			return errors.New("something follows a text")
		}
		v.Type, v.Data = facts.RegSZ, toUTF16(text)
		return nil
	case strings.HasPrefix(lower, "dword:"):
		digits, _, _ := strings.Cut(s[len("dword:"):], ";")
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 32)
		if err != nil {
			return errors.New("a dword is no number of at most 8 hexadecimal digits")
		}
		v.Type, v.Data = facts.RegDWord, []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
		return nil
	case strings.HasPrefix(lower, "hex"):
		kind, list, ok := strings.Cut(s[len("hex"):], ":")
		if !ok {
			return errors.New("the type of a list of bytes does not end")
		}
		v.Type = facts.RegBinary
		if kind != "" {
			n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(kind, "("), ")"), 16, 32)
			if err != nil {
				return errors.New("the type of a list of bytes is no number")
			}
			v.Type = uint32(n)
		}
		b, err := r.bytes(list)
		if err != nil {
			return err
		}
		if r.version == 4 && (v.Type == facts.RegSZ || v.Type == facts.RegExpandSZ || v.Type == facts.RegMultiSZ) && len(b) > 0 {
			b = toUTF16(decodeBytes(b, r.codePage))
			b = b[:len(b)-2] // the final NUL was among the bytes
		}
		v.Data = b
		return nil
	}
	return errors.New("a value is of no known form")
}

// quoted reads a text up to its closing quote, which may stand on a later line: a text of several lines is exported as it is.
func (r *regReader) quoted(s string) (text, rest string, err error) {
	var out strings.Builder
	for {
		at := strings.IndexAny(s, `"\`)
		if at < 0 {
			if r.text == "" {
				return "", "", errors.New("a text does not end")
			}
			next, err := r.next()
			if err != nil {
				return "", "", err
			}
			if out.Len()+len(s) > maxLine {
				return "", "", errLine
			}
			out.WriteString(s + "\r\n")
			s = next
			continue
		}
		out.WriteString(s[:at])
		if s[at] == '"' {
			return out.String(), s[at+1:], nil
		}
		if at+1 == len(s) {
			return "", "", errors.New("a text ends in a single backslash")
		}
		switch s[at+1] {
		case '\\', '"':
			out.WriteByte(s[at+1])
		default: // no other escape is written; a name with a backslash by hand
			out.WriteString(s[at : at+2])
		}
		s = s[at+2:]
	}
}

// bytes reads "0a,0b,\" with what follows on the next lines.
func (r *regReader) bytes(s string) ([]byte, error) {
	var out []byte
	for {
		s, _, _ = strings.Cut(s, ";")
		list, more := strings.CutSuffix(strings.TrimSpace(s), `\`)
		for list != "" {
			var part string
			part, list, _ = strings.Cut(list, ",")
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			n, err := strconv.ParseUint(part, 16, 8)
			if err != nil {
				return nil, errors.New("a list of bytes holds something else")
			}
			out = append(out, byte(n))
			if len(out) > maxLine {
				return nil, errLine
			}
		}
		if !more {
			return out, nil
		}
		if r.text == "" {
			return nil, errors.New("a list of bytes does not end")
		}
		var err error
		if s, err = r.next(); err != nil {
			return nil, err
		}
	}
}
