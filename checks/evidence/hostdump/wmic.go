package hostdump

import (
	"errors"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence/facts"
)

const maxInstances = 10_000

// parseWMIC reads the text of wmic ... get ... /value: NAME=VALUE lines, those of one instance until a name comes again. The names
// are those of the class, in no language. Property names are lower case in the result.
func parseWMIC(text string) ([]map[string]string, error) {
	var out []map[string]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) > maxLine {
			return nil, errLine
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			if line != "" {
				return nil, errors.New("it holds something else than NAME=VALUE lines")
			}
			continue
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if len(out) == 0 || has(out[len(out)-1], name) {
			if len(out) == maxInstances {
				return nil, errors.New("it holds too much")
			}
			out = append(out, map[string]string{})
		}
		out[len(out)-1][name] = strings.TrimSpace(value)
	}
	if len(out) == 0 {
		return nil, errors.New("it is empty")
	}
	return out, nil
}

func has(m map[string]string, name string) bool { _, ok := m[name]; return ok }

// parseVersion reads the version of a file from what wmic datafile says of it.
func parseVersion(text string) (facts.VersionData, error) {
	instances, err := parseWMIC(text)
	if err != nil {
		return facts.VersionData{}, err
	}
	v := instances[len(instances)-1]["version"]
	parts := strings.Split(v, ".")
	if len(parts) != 4 {
		return facts.VersionData{}, errors.New("it holds no version of four numbers")
	}
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 16); err != nil {
			return facts.VersionData{}, errors.New("it holds no version of four numbers")
		}
	}
	return facts.VersionData{Exists: true, Version: v}, nil
}

// parseListeners reads the instances of MSFT_SIPListeningAddressData.
func parseListeners(text string) (facts.SIPListenerList, error) {
	instances, err := parseWMIC(text)
	if err != nil {
		return facts.SIPListenerList{}, err
	}
	l := facts.SIPListenerList{Exists: true}
	for _, i := range instances {
		s := facts.SIPListener{Enabled: strings.EqualFold(i["enabled"], "true"), IPAddress: i["ipaddress"]}
		if !has(i, "port") || !has(i, "enabled") {
			return facts.SIPListenerList{}, errors.New("a listening address has no port")
		}
		var errs [4]error
		s.Port, errs[0] = number(i["port"])
		s.Transport, errs[1] = number(i["transporttype"])
		s.TLSCertIssuer, errs[2] = numbers(i["tlscertissuer"])
		s.TLSCertSN, errs[3] = numbers(i["tlscertsn"])
		if err := errors.Join(errs[:]...); err != nil {
			return facts.SIPListenerList{}, err
		}
		l.Listeners = append(l.Listeners, s)
	}
	return l, nil
}

// number reads a number; an empty text is 0.
func number(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, errors.New("a property is no number")
	}
	return int(n), nil
}

// numbers reads the bytes of an array: "{48,130,5}", on some versions with semicolons.
func numbers(s string) ([]byte, error) {
	var out []byte
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("{},; ", r) }) {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return nil, errors.New("an array of bytes holds something else")
		}
		out = append(out, byte(n))
	}
	return out, nil
}
