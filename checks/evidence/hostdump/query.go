package hostdump

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence/facts"
)

// queryLine is a value as reg query shows it: its name, its type and its data, between tabs up to Server 2003 and four spaces since.
var queryLine = regexp.MustCompile(`^ {4}(.*?)(?:\t| {4})(REG_[A-Z_]+)(?:(?:\t| {4})(.*))?$`)

// parseQuery reads the values of a key from the text of reg query, which names the key before them and its sub-keys after. Values of the
// types that no fact needs are left out. The default value has the name that Windows shows, in its language.
func parseQuery(text string, path []string) ([]facts.RegistryValue, error) {
	var out []facts.RegistryValue
	want := strings.Join(path, `\`)
	inside, found := false, false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if len(line) > maxLine {
			return nil, fmt.Errorf("line %d: %w", n, errLine)
		}
		if strings.HasPrefix(line, "HKEY_") {
			inside = strings.EqualFold(strings.Join(splitKey(line), `\`), want)
			found = found || inside
			continue
		}
		m := queryLine.FindStringSubmatch(line)
		if !inside || m == nil {
			continue // the rest of a text of several lines
		}
		if len(out) == maxServices {
			return nil, fmt.Errorf("line %d: more than %d values", n, maxServices)
		}
		v, known, err := queryValue(m[1], m[2], m[3])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if known {
			out = append(out, v)
		}
	}
	if !found {
		return nil, errors.New("it does not hold the key")
	}
	return out, nil
}

func queryValue(name, kind, data string) (v facts.RegistryValue, known bool, err error) {
	v.Name = name
	switch kind {
	case "REG_SZ":
		v.Type, v.Data = facts.RegSZ, toUTF16(data)
	case "REG_EXPAND_SZ":
		v.Type, v.Data = facts.RegExpandSZ, toUTF16(data)
	case "REG_MULTI_SZ":
		data = strings.TrimSuffix(strings.TrimSuffix(data, `\0`), `\0`)
		v.Type = facts.RegMultiSZ
		if data != "" {
			v.Data = toUTF16(strings.ReplaceAll(data, `\0`, "\x00") + "\x00")
		}
	case "REG_DWORD":
		n, err := strconv.ParseUint(strings.TrimPrefix(data, "0x"), 16, 32)
		if err != nil {
			return v, false, errors.New("a REG_DWORD is no number")
		}
		v.Type, v.Data = facts.RegDWord, []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
	case "REG_BINARY":
		v.Type = facts.RegBinary
		if v.Data, err = hex.DecodeString(data); err != nil {
			return v, false, errors.New("a REG_BINARY is no list of bytes")
		}
	default:
		return v, false, nil
	}
	return v, true, nil
}
