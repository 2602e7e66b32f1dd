package krb

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// NewAccount is who asks for tickets for a service of a server. The realm of DOMAIN\user is taken to be the AD domain. The error
// is a failure.
func NewAccount(e *env.Env, server string) (*Account, error) {
	scope := e.Scope()
	a := &Account{Principal: scope.LDAPUser, Password: e.Password()}
	var err error
	switch {
	case scope.Kerberos:
		a.Cache, err = ReadCache(e.TicketCache())
	case scope.Keytab:
		a.Keytab, err = ReadKeytab(e.Keytab())
	case strings.ContainsAny(a.Principal, "=@"):
		name, realm, ok := strings.Cut(a.Principal, "@")
		a.Principal = name + "@" + strings.ToUpper(realm)
		if !ok {
			err = errors.New("the account is given as a DN, which Kerberos does not take")
		}
	default:
		_, name, ok := strings.Cut(a.Principal, `\`)
		if !ok {
			name = a.Principal
		}
		domain := scope.ADDomain
		if domain == "" {
			domain = facts.Parent(server)
		}
		a.Principal = name + "@" + strings.ToUpper(domain)
	}
	if _, address := netip.ParseAddr(server); err == nil && address == nil {
		err = errors.New("Kerberos takes the server's name, not its address " + server)
	}
	if err != nil {
		return nil, evidence.FailAt(evidence.NotConfigured, err.Error(), facts.ConfigScope.Key(evidence.None{}))
	}
	return a, nil
}

// FindKDCs looks for KDCs of the realms that a ticket for a server may take: the account's, the server's, and that of the AD
// domain, over which the tree of trusts leads. realms are all that were looked at, kdcs those that answer.
func FindKDCs(e *env.Env, r *evidence.Reader, a Account, server string) (realms []string, kdcs []KDC, err error) {
	realms = []string{a.Realm()}
	for _, domain := range []string{facts.Parent(server), e.Scope().ADDomain} {
		if realm := strings.ToUpper(domain); realm != "" && !slices.Contains(realms, realm) {
			realms = append(realms, realm)
		}
	}
	for _, realm := range realms {
		k, ok, err := FindKDC(e, r, realm, server)
		if err != nil {
			return realms, kdcs, err
		}
		if ok {
			kdcs = append(kdcs, k)
		}
	}
	return realms, kdcs, nil
}
