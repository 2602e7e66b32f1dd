package winprobe

import (
	"context"
	"encoding/asn1"
	"strings"

	"github.com/cloudsoda/go-smb2"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/krb"
	"ocsdoctor/checks/evidence/sipauth"
)

// account is a way to prove who asks.
type account interface {
	// initiator starts a proof. The error is a failure.
	initiator(context.Context, *env.Trace) (smb2.Initiator, error)
	// refused is the failure of a proof that the server refused: "the password is wrong".
	refused(why string) error
	// String names the way.
	String() string
}

// password proves the account with NTLM, which does not send the password.
type password struct {
	env  *env.Env
	host string
}

func (p *password) String() string { return "NTLM" }

func (p *password) refused(why string) error { return p.env.Refuse(why) }

// initiator takes DOMAIN\user and user@domain. A domain controller takes the DNS name of its domain for its short one.
func (p *password) initiator(context.Context, *env.Trace) (smb2.Initiator, error) {
	user := p.env.Scope().LDAPUser
	domain, name, ok := strings.Cut(user, `\`)
	if !ok {
		name, domain, _ = strings.Cut(user, "@")
	}
	if strings.Contains(user, "=") {
		return nil, evidence.FailAt(evidence.NotConfigured, `the account of --user is given as a DN, which SMB does not take: DOMAIN\user or user@domain is`, scopeKey)
	}
	// The hash, because the library takes a password for a path, and drops one of two backslashes.
	return &smb2.NTLMInitiator{User: name, Domain: domain, Hash: sipauth.NTHash(p.env.Password()), TargetSPN: "cifs/" + p.host}, nil
}

// ticket proves the account with a Kerberos ticket for the server.
type ticket struct {
	env     *env.Env
	account *krb.Account
	kdcs    []krb.KDC
	host    string
}

func (t *ticket) String() string { return "Kerberos" }

// refused does not hold for other servers: the KDC has taken the account.
func (t *ticket) refused(string) error {
	return evidence.Fail(evidence.Denied, t.host+" does not take the Kerberos ticket")
}

func (t *ticket) initiator(ctx context.Context, tr *env.Trace) (smb2.Initiator, error) {
	k, refused, err := krb.GetTicket(ctx, t.env, tr, *t.account, t.kdcs, "cifs/"+t.host)
	switch {
	case refused != "":
		return nil, t.env.Refuse(refused)
	case err != nil:
		return nil, err
	}
	return &kerberos{ticket: k}, nil
}

// kerberos is the client's side of the Kerberos mechanism in the session setup. It implements smb2.Initiator.
type kerberos struct {
	ticket  *krb.Ticket
	context *krb.Context
}

// OID implements smb2.Initiator: 1.2.840.113554.1.2.2 (RFC 4121, section 1).
func (k *kerberos) OID() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2}
}

// InitSecContext implements smb2.Initiator.
func (k *kerberos) InitSecContext() (token []byte, err error) {
	k.context, token, err = k.ticket.Start()
	return token, err
}

// AcceptSecContext implements smb2.Initiator: the server proves that it could read the ticket.
func (k *kerberos) AcceptSecContext(token []byte) ([]byte, error) {
	return nil, k.context.Accept(token)
}

// Sum implements smb2.Initiator. With one mechanism on offer none is needed (RFC 4178, section 5).
func (k *kerberos) Sum([]byte) []byte { return nil }

// SessionKey implements smb2.Initiator.
func (k *kerberos) SessionKey() []byte { return k.context.SessionKey() }
