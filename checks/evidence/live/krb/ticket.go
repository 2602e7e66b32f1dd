package krb

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/krberror"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

const (
	kdcPort       = 88
	maxKDCs       = 8       // of one realm that are tried
	maxMessage    = 1 << 20 // bytes of one message to or from a KDC
	maxIterations = 1 << 20 // of the derivation of a key from a password; the default is 4096 (RFC 3962, section 4)
)

// encryptionTypes are those of Windows since 2000, the best first; DES is off since 2008 R2.
var encryptionTypes = []int32{etypeID.AES256_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.RC4_HMAC}

// Account is who asks for a ticket: with a password, or a keytab, or else the tickets of a cache.
type Account struct {
	// Principal is U@REALM.
	Principal string
	Password  string
	Keytab    *Keytab
	Cache     *Cache
}

// Realm is the account's.
func (a Account) Realm() string { _, realm := split(a.Principal); return realm }

// KDC is who answers for a realm.
type KDC struct {
	Realm  string
	Target env.Target
}

// FindKDC looks for a KDC of a realm that takes connections: those that DNS publishes (RFC 4120, section 7.2.3.2), and a
// domain controller of that domain, which is one. ok is false when there is none. The domain controller itself is
// preferred, so that no other has to be well.
func FindKDC(e *env.Env, r *evidence.Reader, realm, dc string) (k KDC, ok bool, err error) {
	domain := facts.Host(realm)
	l, err := facts.DNSLookup.Get(r, facts.LookupQuestion{Name: "_kerberos._tcp." + domain, Type: "SRV", View: facts.Inside})
	if err != nil && !evidence.Excusable(err) {
		return KDC{}, false, err
	}
	records := slices.SortedFunc(slices.Values(l.Records), func(a, b facts.Record) int {
		own := func(rr facts.Record) int {
			if rr.Target == dc {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(own(a), own(b)), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Target, b.Target))
	})
	var endpoints []facts.Endpoint
	for _, rr := range records[:min(len(records), maxKDCs)] {
		if rr.Target != "" {
			endpoints = append(endpoints, facts.Endpoint{Host: rr.Target, Port: rr.Port})
		}
	}
	if len(endpoints) == 0 && facts.Parent(dc) == domain {
		endpoints = append(endpoints, facts.Endpoint{Host: dc, Port: kdcPort})
	}
	answers, errs := evidence.GetAll(r, facts.NetConnect, endpoints)
	for i, ep := range endpoints {
		switch {
		case errs[i] != nil && !evidence.Excusable(errs[i]):
			return KDC{}, false, errs[i]
		case errs[i] == nil && answers[i].Result == facts.Connected:
			t, err := e.Target(r, "tcp", ep)
			return KDC{realm, t}, err == nil, err
		}
	}
	return KDC{}, false, nil
}

// Ticket is a service ticket with its session key.
type Ticket struct {
	ticket messages.Ticket
	key    types.EncryptionKey
	client types.PrincipalName
	realm  string
}

// GetTicket gets a ticket for a service (ldap/dc1.todorovic.adds) from the KDC of the account's realm and, where that
// refers to another realm, from the KDC of that. The password or key is tried once. refused says why the KDC does not
// take the account, which goes for the whole run.
func GetTicket(ctx context.Context, e *env.Env, tr *env.Trace, a Account, kdcs []KDC, service string) (t *Ticket, refused string, err error) {
	i := slices.IndexFunc(kdcs, func(k KDC) bool { return k.Realm == a.Realm() })
	if a.Cache != nil {
		if t, err := ask(a, config.New(), service, true); err == nil {
			return t, "", nil
		}
	}
	if i < 0 {
		return nil, "", evidence.Fail(evidence.NoTarget, "no KDC of the realm "+strings.ToValidUTF8(a.Realm(), "\uFFFD")+" answers")
	}
	kdc := kdcs[i].Target
	err = e.Exchange(ctx, tr, kdc, e.Budgets.Exchange, func(ctx context.Context) error {
		relays := make([]*relay, len(kdcs))
		cfg := a.config()
		for i, k := range kdcs {
			r, err := newRelay(ctx, e, k.Target)
			if err != nil {
				return evidence.Fail(evidence.Internal, "no loopback port for the way to the KDC: "+err.Error())
			}
			defer r.close()
			relays[i] = r
			cfg.Realms = append(cfg.Realms, config.Realm{Realm: k.Realm, KDC: []string{r.listener.Addr().String()}})
		}
		var err error
		if t, err = ask(a, cfg, service, false); err == nil {
			return nil
		}
		for _, r := range relays {
			r.close()
			if r.err != nil {
				return r.err
			}
			if r.code != 0 {
				if refused = refusals[r.code]; a.Keytab != nil && r.code == errorcode.KDC_ERR_PREAUTH_FAILED {
					refused = "the key of the keytab is not its own, or no longer"
				}
				return evidence.Fail(evidence.Denied, words(r.code, r.target.Endpoint, service))
			}
		}
		var unread krberror.Krberror
		if a.Cache == nil && relays[i].tickets == 1 && errors.As(err, &unread) && unread.RootCause == krberror.DecryptingError {
			refused = "the password is wrong" // of an account that needs no pre-authentication
		}
		return evidence.Fail(evidence.Protocol, kdc.String()+" gives no usable Kerberos ticket")
	})
	return t, refused, err
}

// config is what gokrb5 would read in krb5.conf, but for the realms.
func (a Account) config() *config.Config {
	cfg := config.New()
	d := &cfg.LibDefaults
	d.DefaultRealm, d.UDPPreferenceLimit, d.NoAddresses, d.DNSLookupKDC = a.Realm(), 1, true, false
	d.DefaultTGSEnctypeIDs, d.DefaultTktEnctypeIDs, d.PermittedEnctypeIDs = encryptionTypes, encryptionTypes, encryptionTypes
	if a.Keytab != nil { // the KDC chooses among those that are asked for
		d.DefaultTktEnctypeIDs = a.Keytab.types(a.Principal)
	}
	return cfg
}

// ask has gokrb5 ask for a ticket, or only look into the cache. It ends when the relays of cfg do.
func ask(a Account, cfg *config.Config, service string, cached bool) (t *Ticket, err error) {
	err = guard(func() error {
		name, realm := split(a.Principal)
		fast := client.DisablePAFXFAST(true) // which the KDCs of that time do not know
		var cl *client.Client
		switch {
		case a.Cache != nil:
			var err error
			if cl, err = client.NewFromCCache(&a.Cache.file, cfg, fast); err != nil {
				return err
			}
		case a.Keytab != nil:
			cl = client.NewWithKeytab(name, realm, &a.Keytab.file, cfg, fast)
		default:
			cl = client.NewWithPassword(name, realm, a.Password, cfg, fast)
		}
		ticket, key, ok := cl.GetCachedTicket(service)
		t = &Ticket{client: cl.Credentials.CName(), realm: realm}
		defer cl.Destroy() // ends its goroutine that renews
		if !ok && cached {
			return errors.New("not in the cache")
		}
		if !ok {
			var err error
			if ticket, key, err = cl.GetServiceTicket(service); err != nil {
				return err
			}
		}
		t.ticket, t.key = ticket, key
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// refusals are the answers of a KDC that are a verdict on the account (RFC 4120, section 7.5.9; what Windows means by them:
// [MS-KILE] 3.3.5.7).
var refusals = map[int32]string{
	errorcode.KDC_ERR_NAME_EXP: "it has expired", errorcode.KDC_ERR_C_PRINCIPAL_UNKNOWN: "there is no such account",
	errorcode.KDC_ERR_POLICY:         "it may not log on at this time or from this machine",
	errorcode.KDC_ERR_CLIENT_REVOKED: "it is disabled, expired or locked out",
	errorcode.KDC_ERR_KEY_EXPIRED:    "its password has expired or must be changed first",
	errorcode.KDC_ERR_PREAUTH_FAILED: "the password is wrong",
}

// words say what a KDC answered instead of a ticket.
func words(code int32, kdc facts.Endpoint, service string) string {
	switch code {
	case errorcode.KRB_AP_ERR_SKEW:
		return "the clock of this machine and that of " + kdc.String() + " differ by more than Kerberos allows, 5 minutes by default"
	case errorcode.KRB_AP_ERR_TKT_EXPIRED:
		return "the ticket of the cache has expired"
	case errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN:
		return kdc.String() + " knows no service " + service
	case errorcode.KDC_ERR_ETYPE_NOSUPP:
		return kdc.String() + " has no key of a kind that is spoken here (AES or RC4)"
	}
	if why, ok := refusals[code]; ok {
		return "the account is refused: " + why
	}
	return kdc.String() + " refuses with the Kerberos error " + strconv.Itoa(int(code))
}

// relay is a loopback port that leads to a KDC over the run's dialer, since gokrb5 dials by itself. It also bounds and
// reads what the KDC says, which gokrb5 does not bound, and tells as text only.
type relay struct {
	env      *env.Env
	target   env.Target
	listener net.Listener
	serving  sync.WaitGroup
	once     sync.Once

	// These are read after close.
	err     error // of the way to the KDC
	code    int32 // the last error that the KDC answered, but for "pre-authenticate first"
	tickets int   // answers that are no error
}

func newRelay(ctx context.Context, e *env.Env, t env.Target) (*relay, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{env: e, target: t, listener: l}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	r.serving.Go(func() {
		defer stop()
		for {
			conn, err := l.Accept()
			if err != nil {
				if ctx.Err() != nil && r.err == nil {
					r.err = ctx.Err()
				}
				return
			}
			if err := r.serve(ctx, conn); err != nil && r.err == nil {
				r.err = err
			}
		}
	})
	return r, nil
}

func (r *relay) close() {
	r.once.Do(func() { _ = r.listener.Close() })
	r.serving.Wait()
}

// serve carries one request and its answer.
func (r *relay) serve(ctx context.Context, from net.Conn) error {
	defer func() { _ = from.Close() }()
	defer env.CloseAtEnd(ctx, from)()
	request, err := readMessage(from)
	if err != nil { // not gokrb5, or the end
		return ctx.Err()
	}
	kdc, err := r.env.Connect(ctx, r.target)
	if err != nil {
		return err
	}
	defer func() { _ = kdc.Close() }()
	defer env.CloseAtEnd(ctx, kdc)()
	if _, err := kdc.Write(request); err != nil {
		return err
	}
	answer, err := readMessage(kdc)
	if err == nil {
		err = r.read(answer[4:])
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	_, err = from.Write(answer)
	return err
}

// readMessage reads a message with the length that goes before it (RFC 4120, section 7.2.2).
func readMessage(c net.Conn) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxMessage {
		return nil, evidence.Fail(evidence.Protocol, "what answers is no KDC")
	}
	b := make([]byte, 4+n)
	copy(b, length[:])
	if _, err := io.ReadFull(c, b[4:]); err != nil {
		return nil, err
	}
	return b, nil
}

// read takes note of what a KDC answers. The error is of an answer that would keep gokrb5 busy for hours.
func (r *relay) read(b []byte) error {
	var e messages.KRBError
	var rep messages.ASRep
	var offers types.PADataSequence
	err := guard(func() error {
		switch {
		case e.Unmarshal(b) == nil:
			if e.ErrorCode != errorcode.KDC_ERR_PREAUTH_REQUIRED {
				r.code = e.ErrorCode
				return nil
			}
			return offers.Unmarshal(e.EData)
		case rep.Unmarshal(b) == nil:
			offers = rep.PAData
		}
		r.tickets++
		return nil
	})
	if err == nil {
		err = guard(func() error { return bounded(offers) })
	}
	if err != nil {
		return evidence.Fail(evidence.Protocol, fmt.Sprintf("%s answers Kerberos wrongly: %v", r.target, err))
	}
	return nil
}

// bounded refuses a derivation of the key from the password that takes too many rounds (RFC 3962, section 4).
func bounded(offers types.PADataSequence) error {
	for _, pa := range offers {
		if pa.PADataType != patype.PA_ETYPE_INFO2 {
			continue
		}
		info, err := pa.GetETypeInfo2()
		if err != nil {
			return errors.New("malformed ETYPE-INFO2")
		}
		for _, i := range info {
			if p := i.S2KParams; len(p) == 4 && binary.BigEndian.Uint32(p)-1 >= maxIterations {
				return errors.New("it asks for too many rounds of hashing")
			}
		}
	}
	return nil
}
