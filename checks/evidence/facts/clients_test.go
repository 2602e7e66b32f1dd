package facts_test

import (
	"slices"
	"strconv"
	"testing"

	"ocsdoctor/checks/evidence/facts"
)

// What is not in the zone of these worlds does not exist: every name that any client asks for.
func everyName(have map[string]facts.DNSAnswerData) map[string]facts.DNSAnswerData {
	m := map[string]facts.DNSAnswerData{}
	for _, suffix := range []string{"", ".ad.example"} {
		for _, service := range []string{facts.ServiceInternal, facts.ServiceInternalTCP, facts.ServiceTLS, facts.ServiceTCP} {
			m["inside#1 "+service+".d"+suffix+" SRV"] = nxdomain
		}
		for _, host := range []string{"lyncdiscoverinternal.d", "lyncdiscover.d", "sipinternal.d", "sip.d", "sipexternal.d", "d"} {
			m["inside#1 "+host+suffix+" A"] = nxdomain
		}
	}
	for k, v := range have {
		m["inside#1 "+k] = v
	}
	return m
}

func TestEveryClientHasItsOwnWay(t *testing.T) {
	t.Parallel()
	host := answer(a("sip.d", "192.0.2.8"))
	const internal, internalTCP, external, externalTCP = "_sipinternaltls._tcp.d", "_sipinternal._tcp.d", "_sip._tls.d", "_sip._tcp.d"
	all := map[string]facts.DNSAnswerData{
		internal + " SRV": answer(srv(internal, "sip.d", 5061)), internalTCP + " SRV": answer(srv(internalTCP, "sip.d", 5060)),
		external + " SRV": answer(srv(external, "sip.d", 443)), externalTCP + " SRV": answer(srv(externalTCP, "sip.d", 5060)), "sip.d A": host,
	}
	without := func(names ...string) map[string]facts.DNSAnswerData {
		m := map[string]facts.DNSAnswerData{}
		for k, v := range all {
			if !slices.Contains(names, k) {
				m[k] = v
			}
		}
		return m
	}
	hosts := map[string]facts.DNSAnswerData{"sip.d A": host, "sipexternal.d A": answer(a("sipexternal.d", "192.0.2.9"))}
	for _, c := range []struct {
		profile string
		tcp     bool
		dns     map[string]facts.DNSAnswerData
		want    []string // the ways, "BY HOST:PORT" with "tcp" before it
	}{
		{"communicator-2007-r2", false, all, []string{internal + " sip.d:5061"}},
		{"communicator-2007-r2", false, without(internal + " SRV"), []string{external + " sip.d:443"}},
		{"communicator-2007-r2", true, without(internal + " SRV"), []string{"tcp " + internalTCP + " sip.d:5060"}},
		{"communicator-2007-r2", true, without(internal+" SRV", internalTCP+" SRV", external+" SRV"), []string{"sip.d sip.d:5061"}}, // _sip._tcp is not asked for
		{"communicator-2007", true, without(internal+" SRV", internalTCP+" SRV", external+" SRV"), []string{"tcp " + externalTCP + " sip.d:5060"}},
		{"communicator-2007", false, without(internal+" SRV", internalTCP+" SRV", external+" SRV"), []string{"sip.d sip.d:5061"}},
		{"phone-edition", true, all, []string{internal + " sip.d:5061", external + " sip.d:443", "tcp " + internalTCP + " sip.d:5060", "sip.d sip.d:5061", "sip.d sip.d:443"}},
		{"phone-edition", false, hosts, []string{"sip.d sip.d:5061", "sip.d sip.d:443", "sipexternal.d sipexternal.d:5061", "sipexternal.d sipexternal.d:443"}},
		{"phone-edition", false, map[string]facts.DNSAnswerData{
			"sip.d.ad.example A": answer(a("sip.d.ad.example", "192.0.2.7")), internal + ".ad.example SRV": answer(srv(internal+".ad.example", "sip.d.ad.example", 5061)),
		}, []string{internal + ".ad.example sip.d.ad.example:5061", "sip.d.ad.example sip.d.ad.example:5061", "sip.d.ad.example sip.d.ad.example:443"}},
		{"pidgin-sipe", true, all, []string{internal + " sip.d:5061", "tcp " + internalTCP + " sip.d:5060", external + " sip.d:443", "tcp " + externalTCP + " sip.d:5060", "sip.d sip.d:443"}},
		{"pidgin-sipe", true, hosts, []string{"sipexternal.d sipexternal.d:443", "sip.d sip.d:443"}},
		{"pidgin-sipe", true, map[string]facts.DNSAnswerData{"d A": answer(a("d", "192.0.2.5"))}, []string{"d d:5061"}},
	} {
		r := world{scope: facts.Scope{ADDomain: "ad.example", Resolvers: inside(1)}, dns: everyName(c.dns)}.reader(t)
		w, err := facts.Discovery.Get(r, facts.DiscoveryQuestion{Domain: "d", View: facts.Inside, Profile: c.profile, TCP: c.tcp})
		var got []string
		for _, way := range w.Ways {
			s := way.By + " " + way.Host + ":" + strconv.Itoa(way.Port)
			if way.TCP {
				s = "tcp " + s
			}
			got = append(got, s)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s, tcp %v: %q, %v; want %q", c.profile, c.tcp, got, err, c.want)
		}
	}
}

// A client that was told its server asks for nothing but its address, in whatever domain its user is.
func TestAClientConfiguredByHandAsksForNoRecord(t *testing.T) {
	t.Parallel()
	w := world{scope: facts.Scope{Resolvers: inside(1), Manual: "ocs.ad.example:5060"}, dns: map[string]facts.DNSAnswerData{"inside#1 ocs.ad.example A": answer(a("ocs.ad.example", "192.0.2.20"))}}
	got, err := facts.Discovery.Get(w.reader(t), facts.DiscoveryQuestion{Domain: "d", View: facts.Inside, TCP: true})
	if err != nil || !got.Configured || got.Host != "ocs.ad.example" || got.Port != 5060 || !got.TCP || len(got.Cites()) != 0 || !slices.Equal(got.Addresses, []string{"192.0.2.20"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheDefaultClientIsTheFirst(t *testing.T) {
	t.Parallel()
	if got := facts.ProfileNames(); !slices.Equal(got, []string{"communicator-2007-r2", "communicator-2007", "phone-edition", "pidgin-sipe"}) || facts.ProfileOf("").Name != got[0] {
		t.Errorf("%q", got)
	}
	// A question of the default client has the key that it had before there were others.
	if got := (facts.DiscoveryQuestion{Domain: "d", View: facts.Inside}).String(); got != "d inside" {
		t.Error(got)
	}
}
