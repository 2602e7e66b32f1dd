package dnsprobe

import (
	"testing"

	"github.com/miekg/dns"

	"ocsdoctor/checks/evidence/facts"
)

func FuzzRead(f *testing.F) {
	query, err := message(facts.DNSQuestion{Server: "inside#1", Name: "sip.todorovic.fr", Type: "A"})
	if err != nil {
		f.Fatal(err)
	}
	query.Id = 1
	for _, answer := range [][]string{nil, {"sip.todorovic.fr. 60 IN A 10.0.0.10"}, {"sip.todorovic.fr. 60 IN CNAME a.b.", `a.b. 1 IN SRV 0 0 5061 x\.y\010.z.`}} {
		m := new(dns.Msg).SetReply(query)
		for _, s := range answer {
			rr, err := dns.NewRR(s)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0, 1, 0x81, 0x85, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &probe{query: query}
		m := p.read(b)
		if m == nil {
			return
		}
		if m.Id != query.Id || !m.Response || rcode(m.Rcode) == "" {
			t.Errorf("%v is taken for the answer", m)
		}
		for _, rr := range records(m.Answer) {
			if rr.Type == "" || rr.Port < 0 || rr.Port > 65535 {
				t.Errorf("%+v", rr)
			}
		}
	})
}
