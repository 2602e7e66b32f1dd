package sipauth

import "strings"

// Signed is what a signature covers of a SIP message ([MS-SIPAE] 2.2.3 and 3.3.1).
type Signed struct {
	// Scheme, Random, Number, Realm and Target are parameters of the field that carries the signature.
	Scheme, Random, Number, Realm, Target string
	CallID                                string
	// CSeq is the field's whole value, "3 REGISTER".
	CSeq string
	// From and To are the fields' whole values; Asserted is P-Asserted-Identity, or P-Preferred-Identity.
	From, To, Asserted string
	Expires            string
	// Status is the code of a response, "200"; empty in a request.
	Status string
}

// The versions of the extensions in which what is signed differs: the first has it since OCS 2007.
const withIdentity = 3

// Buffer is the text that is signed. version is that of the challenge; OCS 2007 R2 says 4.
func (m Signed) Buffer(version int) []byte {
	number, method, _ := strings.Cut(m.CSeq, " ")
	parts := []string{m.Scheme, m.Random, m.Number, m.Realm, m.Target, m.CallID, number, strings.TrimSpace(method), address(m.From), tag(m.From)}
	if version < withIdentity {
		parts = append(parts, tag(m.To))
	} else {
		sip, tel := identities(m.Asserted)
		parts = append(parts, address(m.To), tag(m.To), sip, tel)
	}
	parts = append(parts, m.Expires)
	if m.Status != "" {
		parts = append(parts, m.Status)
	}
	return []byte("<" + strings.Join(parts, "><") + ">")
}

// address is the URI of a From or To field.
func address(field string) string {
	if _, rest, ok := strings.Cut(field, "<"); ok {
		uri, _, _ := strings.Cut(rest, ">")
		return uri
	}
	uri, _, _ := strings.Cut(field, ";")
	return strings.TrimSpace(uri)
}

// tag is the parameter of that name of a From or To field.
func tag(field string) string {
	if i := strings.LastIndex(field, ">"); i >= 0 { // the address may have parameters of its own
		field = field[i:]
	}
	_, rest, _ := strings.Cut(field, ";tag=")
	value, _, _ := strings.Cut(rest, ";")
	return strings.TrimSpace(value)
}

// identities are the SIP and the telephone URI of an identity field, which may have both.
func identities(field string) (sip, tel string) {
	for part := range strings.SplitSeq(field, ",") {
		uri := address(part)
		switch scheme, _, _ := strings.Cut(uri, ":"); {
		case strings.EqualFold(scheme, "sip") && sip == "":
			sip = uri
		case strings.EqualFold(scheme, "tel") && tel == "":
			tel = uri
		}
	}
	return sip, tel
}
