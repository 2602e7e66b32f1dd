package env

import (
	"context"
	"errors"
	"strings"

	"ocsdoctor/checks/evidence"
)

const accountKind = "ldap.account"

// Prove runs one proof of the account to a server: a bind, an SMB session. Only one is on at a time in a run, and none
// follows a refused one, so that a wrong password is tried once in all and locks nobody out.
func (e *Env) Prove(ctx context.Context, way func() error) error {
	select {
	case e.gate <- struct{}{}:
		defer func() { <-e.gate }()
	case <-ctx.Done():
		return Ended(ctx)
	}
	if e.refused != nil {
		return e.refused
	}
	return way()
}

// Refuse takes note that the account is refused, and why: "the password is wrong". Only a way that Prove runs may call it.
func (e *Env) Refuse(why string) *evidence.Failure {
	whose := "--user"
	if e.scope.Kerberos {
		whose = "the ticket cache"
	}
	// The account is the root of all that was not asked because it is refused.
	root := evidence.Key{Kind: accountKind, Query: strings.ToValidUTF8(e.scope.LDAPUser, "\uFFFD")}
	e.refused = evidence.FailAt(evidence.Denied, "the account of "+whose+" is refused: "+why, root)
	return e.refused
}

// IsRefused tells whether an error is that of the refused account.
func IsRefused(err error) bool {
	var f *evidence.Failure
	return errors.As(err, &f) && f.Root.Kind == accountKind
}
