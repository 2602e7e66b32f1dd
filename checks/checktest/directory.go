package checktest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

// directory is what a domain controller holds: entries by their name in lower case.
type directory map[string]facts.Entry

// parseDirectory adds entries to a directory, as LDIF: "dn: ..." and attributes up to an empty line. The line "changetype:
// delete" removes the entry; after "changetype: modify" each attribute named replaces its values, and "attribute:" with nothing
// removes it. Any other entry takes the place of one with the same name. "attribute:: ..." is base64.
//
// Some attributes are written as text and kept as Windows has them: SIDs, GUIDs, and
//
//	nTSecurityDescriptor: [protected] ALLOW|DENY SID MASK GUID|- ...      MASK hexadecimal; the parts repeat
//	repsFrom: GUID [success=TIME] [attempt=TIME] [result=N] [failures=N]
//	replUpToDateVector: INVOCATION=TIME ...
//	pwdLastSet, accountExpires, lockoutTime, msDS-UserPasswordExpiryTimeComputed: a number, or TIME
//
// TIME is "@" and a duration from the time of judging: "@-26h".
func (d directory) parse(text string, now time.Time) error {
	for _, block := range strings.Split(strings.ReplaceAll(text, "\n \n", "\n\n"), "\n\n") {
		var dn, change string
		attributes := map[string][][]byte{}
		var removed []string
		for line := range strings.Lines(block) {
			line = strings.TrimRight(line, "\r\n")
			name, value, ok := strings.Cut(line, ":")
			switch {
			case line == "" || strings.HasPrefix(line, "#"):
				continue
			case !ok:
				return fmt.Errorf("%q is no attribute: value", line)
			case name == "dn":
				dn = strings.TrimSpace(value)
				continue
			case name == "changetype":
				change = strings.TrimSpace(value)
				continue
			}
			var raw []byte
			var err error
			if encoded, binary := strings.CutPrefix(value, ":"); binary {
				raw, err = base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
			} else if value = strings.TrimSpace(value); value == "" {
				removed = append(removed, name)
				continue
			} else {
				raw, err = encodeValue(name, value, now)
			}
			if err != nil {
				return fmt.Errorf("%s: %s: %w", dn, name, err)
			}
			attributes[name] = append(attributes[name], raw)
		}
		if len(attributes) == 0 && dn == "" && change == "" && len(removed) == 0 {
			continue
		}
		key := strings.ToLower(dn)
		old, known := d[key]
		switch change {
		case "delete":
			delete(d, key)
			continue
		case "modify":
			if !known {
				return fmt.Errorf("%s: there is no such entry to modify", dn)
			}
			merged := map[string][][]byte{}
			for name, values := range old.Attributes {
				if !slices.Contains(removed, name) {
					merged[name] = values
				}
			}
			for name, values := range attributes {
				merged[name] = values
			}
			attributes = merged
		}
		d[key] = facts.Entry{DN: dn, Attributes: attributes}
	}
	return nil
}

// encodeValue is the value as a domain controller keeps it.
func encodeValue(attribute, value string, now time.Time) ([]byte, error) {
	switch strings.ToLower(attribute) {
	case "objectsid", "msrtcsip-originatorsid":
		return ntds.EncodeSID(value)
	case "objectguid", "invocationid":
		if b := ntds.GUID(value).Bytes(); b != nil {
			return b, nil
		}
		return nil, errors.New("no GUID")
	case "ntsecuritydescriptor":
		return encodeDescriptor(strings.Fields(value))
	case "repsfrom":
		return encodeLink(strings.Fields(value), now)
	case "repluptodatevector":
		var cursors []ntds.Cursor
		for _, f := range strings.Fields(value) {
			id, at, _ := strings.Cut(f, "=")
			t, err := relative(at, now)
			if err != nil {
				return nil, err
			}
			cursors = append(cursors, ntds.Cursor{Invocation: ntds.GUID(id), USN: 1, Success: t})
		}
		return ntds.EncodeUpToDateVector(cursors), nil
	case "pwdlastset", "accountexpires", "lockouttime", "msds-userpasswordexpirytimecomputed":
		if strings.HasPrefix(value, "@") {
			t, err := relative(value, now)
			return strconv.AppendInt(nil, ntds.ToFileTime(t), 10), err
		}
	}
	return []byte(value), nil
}

func relative(s string, now time.Time) (time.Time, error) {
	after, ok := strings.CutPrefix(s, "@")
	if !ok {
		return time.Time{}, fmt.Errorf("%q is not of the form @DURATION", s)
	}
	d, err := time.ParseDuration(after)
	return now.Add(d), err
}

func encodeDescriptor(words []string) ([]byte, error) {
	d := ntds.Descriptor{HasDACL: true}
	if len(words) > 0 && words[0] == "protected" {
		d.Protected, words = true, words[1:]
	}
	for len(words) >= 4 {
		mask, err := strconv.ParseUint(words[2], 16, 32)
		if err != nil {
			return nil, err
		}
		ace := ntds.ACE{Allow: words[0] == "ALLOW", Trustee: words[1], Mask: uint32(mask)}
		if words[3] != "-" {
			ace.Object = ntds.GUID(words[3])
		}
		d.ACEs, words = append(d.ACEs, ace), words[4:]
	}
	if len(words) > 0 {
		return nil, fmt.Errorf("%q is no whole entry", words)
	}
	return d.Encode()
}

func encodeLink(words []string, now time.Time) ([]byte, error) {
	if len(words) == 0 {
		return nil, errors.New("no source")
	}
	l := ntds.Link{Source: ntds.GUID(words[0])}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		var err error
		var n uint64
		switch name {
		case "success":
			l.Success, err = relative(value, now)
		case "attempt":
			l.Attempt, err = relative(value, now)
		case "result":
			n, err = strconv.ParseUint(value, 10, 32)
			l.Result = uint32(n)
		case "failures":
			n, err = strconv.ParseUint(value, 10, 32)
			l.Failures = uint32(n)
		default:
			err = fmt.Errorf("there is no field %q", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return l.EncodeRepsFrom(), nil
}

// search answers a question as a domain controller does. Security descriptors and constructed attributes come
// only when they are asked for by name, as all attributes do here.
func (d directory) search(q facts.SearchQuestion) (json.RawMessage, error) {
	filter, err := ldap.CompileFilter(q.Filter)
	if err != nil {
		return nil, err
	}
	base := strings.ToLower(q.Base)
	var res facts.SearchResult
	if _, ok := d[base]; !ok && (base != "" || q.Scope == "base") {
		res.NoSuchObject = true
	}
	for key, e := range d {
		if !within(key, base, q.Scope) || !matches(e, filter) {
			continue
		}
		out := facts.Entry{DN: e.DN, Attributes: map[string][][]byte{}}
		for _, name := range strings.Split(q.Attributes, ",") {
			if v := e.Values(name); v != nil {
				out.Attributes[name] = v
			}
		}
		res.Entries = append(res.Entries, out)
	}
	slices.SortFunc(res.Entries, func(a, b facts.Entry) int { return strings.Compare(a.DN, b.DN) })
	return json.Marshal(res)
}

func within(key, base, scope string) bool {
	switch scope {
	case "base":
		return key == base
	case "one":
		return strings.ToLower(facts.ParentDN(key)) == base
	}
	return key == base || base == "" && key != "" || strings.HasSuffix(key, ","+base)
}

// matches evaluates and, or, not, present, equality and substring filters (RFC 4511, section 4.5.1.7), regardless of case.
func matches(e facts.Entry, f *ber.Packet) bool {
	text := func(p *ber.Packet) string { return strings.ToLower(ber.DecodeString(p.Data.Bytes())) }
	switch f.Tag {
	case ldap.FilterAnd:
		return !slices.ContainsFunc(f.Children, func(c *ber.Packet) bool { return !matches(e, c) })
	case ldap.FilterOr:
		return slices.ContainsFunc(f.Children, func(c *ber.Packet) bool { return matches(e, c) })
	case ldap.FilterNot:
		return !matches(e, f.Children[0])
	case ldap.FilterPresent:
		return strings.EqualFold(text(f), "objectClass") || len(e.Values(text(f))) > 0
	case ldap.FilterEqualityMatch:
		return slices.ContainsFunc(e.Values(text(f.Children[0])), func(v []byte) bool {
			return strings.ToLower(string(v)) == text(f.Children[1])
		})
	case ldap.FilterSubstrings:
		return slices.ContainsFunc(e.Values(text(f.Children[0])), func(v []byte) bool {
			return hasParts(strings.ToLower(string(v)), f.Children[1].Children, text)
		})
	}
	return false
}

// hasParts tells whether a value has the parts of a substring filter, in their order.
func hasParts(value string, parts []*ber.Packet, text func(*ber.Packet) string) bool {
	for _, part := range parts {
		i := strings.Index(value, text(part))
		if part.Tag == ldap.FilterSubstringsFinal {
			i = strings.LastIndex(value, text(part))
		}
		if i < 0 || part.Tag == ldap.FilterSubstringsInitial && i > 0 || part.Tag == ldap.FilterSubstringsFinal && i+len(text(part)) != len(value) {
			return false
		}
		value = value[i+len(text(part)):]
	}
	return true
}

// users folds the entries that have to do with OCS into the table that ldap.users gives.
func (d directory) users(q facts.UsersQuestion) (json.RawMessage, error) {
	base := strings.ToLower(q.Base)
	var t facts.UserTable
	index := func(list *[]string, v string) int {
		if i := slices.Index(*list, v); i >= 0 {
			return i
		}
		*list = append(*list, v)
		return len(*list) - 1
	}
	for key, e := range d {
		enabled := e.Value("msRTCSIP-UserEnabled")
		if !within(key, base, "sub") || enabled != "TRUE" && e.Value("msRTCSIP-PrimaryUserAddress") == "" {
			continue
		}
		uac, _ := strconv.ParseUint(e.Value("userAccountControl"), 10, 32)
		expires, _ := strconv.ParseInt(e.Value("accountExpires"), 10, 64)
		if ntds.FileTime(expires).IsZero() {
			expires = 0
		}
		lockout := e.Value("lockoutTime")
		u := facts.User{
			RDN: strings.TrimSuffix(e.DN, ","+facts.ParentDN(e.DN)), Parent: index(&t.Parents, facts.ParentDN(e.DN)), Account: e.Value("sAMAccountName"),
			URI: e.Value("msRTCSIP-PrimaryUserAddress"), Mail: e.Value("mail"), Home: -1, UAC: uint32(uac), Expires: expires,
			Locked: lockout != "" && lockout != "0", MustChange: e.Value("pwdLastSet") == "0", Person: e.Is("user"),
			Originator: e.Value("msRTCSIP-OriginatorSid") != "",
		}
		if enabled != "" {
			on := enabled == "TRUE"
			u.Enabled = &on
		}
		if home := e.Value("msRTCSIP-PrimaryHomeServer"); home != "" {
			u.Home = index(&t.Homes, home)
		}
		for _, v := range e.Values("proxyAddresses") {
			if strings.HasPrefix(strings.ToLower(string(v)), "sip:") {
				u.SIPProxy = append(u.SIPProxy, string(v))
			}
		}
		t.Users = append(t.Users, u)
	}
	slices.SortFunc(t.Users, func(a, b facts.User) int { return strings.Compare(a.URI+" "+a.RDN, b.URI+" "+b.RDN) })
	return json.Marshal(t)
}
