package checktest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence/facts"
)

// zone is what the resolvers of a view know.
type zone []facts.Record

// parseZone reads records, one on a line: NAME TYPE DATA, where DATA is an address, a name, or for SRV
// "PRIORITY WEIGHT PORT TARGET".
func parseZone(text string) (zone, error) {
	z := zone{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) < 3 {
			return nil, fmt.Errorf("%q is not of the form NAME TYPE DATA", strings.TrimSpace(line))
		}
		rr := facts.Record{Name: facts.Host(f[0]), Type: f[1], TTL: 3600}
		switch data := f[2:]; {
		case (rr.Type == "A" || rr.Type == "AAAA") && len(data) == 1:
			rr.Address = data[0]
		case (rr.Type == "CNAME" || rr.Type == "NS") && len(data) == 1:
			rr.Target = facts.Host(data[0])
		case rr.Type == "SRV" && len(data) == 4:
			var n [3]uint64
			for i := range n {
				var err error
				if n[i], err = strconv.ParseUint(data[i], 10, 16); err != nil {
					return nil, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
				}
			}
			rr.Priority, rr.Weight, rr.Port, rr.Target = uint16(n[0]), uint16(n[1]), int(n[2]), facts.Host(data[3])
		default:
			return nil, fmt.Errorf("%q is no A, AAAA, CNAME, NS or SRV record", strings.TrimSpace(line))
		}
		z = append(z, rr)
	}
	return z, nil
}

// maxAliases bounds how many aliases an answer follows, as resolvers do.
const maxAliases = 8

// answer is the JSON of what a resolver says (RFC 1034, section 4.3.2): the aliases on the way, then the records of the type asked.
func (z zone) answer(q facts.DNSQuestion) json.RawMessage {
	a := facts.DNSAnswerData{Rcode: "NOERROR"}
	name := q.Name
	for range maxAliases {
		known, next := false, ""
		for _, rr := range z {
			if rr.Name != name {
				// A name below which others stand exists, though it holds nothing (RFC 4592, section 2.2.2).
				known = known || strings.HasSuffix(rr.Name, "."+name)
				continue
			}
			known = true
			switch rr.Type {
			case q.Type:
				a.Records = append(a.Records, rr)
			case "CNAME":
				a.Records, next = append(a.Records, rr), rr.Target
			}
		}
		if !known {
			a.Rcode = "NXDOMAIN"
		}
		if next == "" {
			break
		}
		name = next
	}
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // plain data always marshals
	}
	return b
}
