package winprobe

import (
	"errors"
	"fmt"
	"os"

	"github.com/cloudsoda/go-smb2"

	"ocsdoctor/checks/evidence"
)

// NT statuses that mean something here ([MS-ERREF] 2.3).
const (
	statusPending            = 0x00000103
	statusMoreProcessing     = 0xc0000016
	statusEndOfFile          = 0xc0000011
	statusAccessDenied       = 0xc0000022
	statusBufferTooSmall     = 0xc0000023
	statusObjectNameNotFound = 0xc0000034
	statusObjectPathNotFound = 0xc000003a
	statusSharingViolation   = 0xc0000043
	statusLogonFailure       = 0xc000006d
	statusPipeNotAvailable   = 0xc00000ac
	statusFileIsADirectory   = 0xc00000ba
	statusBadNetworkName     = 0xc00000cc
)

// refusals are the statuses of a session setup that are a verdict on the account, and go for every server.
var refusals = map[uint32]string{
	statusLogonFailure: "name or password is wrong",
	0xc0000064:         "there is no such account",
	0xc000006a:         "the password is wrong",
	0xc000006e:         "its policy does not let it log on",
	0xc000006f:         "it may not log on at this time",
	0xc0000070:         "it may not log on from this machine",
	0xc0000071:         "its password has expired",
	0xc0000072:         "it is disabled",
	0xc0000193:         "it has expired",
	0xc0000224:         "its password must be changed first",
	0xc0000234:         "it is locked out",
}

// setups are those that are a verdict of one server.
var setups = map[uint32]string{
	statusAccessDenied: "does not take the account",
	0xc000005e:         "reaches no domain controller to check the account with",
	0xc00000d0:         "takes no more SMB sessions",
	0xc0000133:         "says that its clock and the domain controller's differ too much",
	0xc000015b:         "does not let the account log on over the network (its policy \"Access this computer from the network\")",
	0xc000018b:         "has no account in the domain any more, and cannot check the account",
	0xc000018d:         "has lost its trust with the domain, and cannot check the account",
	0xc0000413:         "does not let the account log on (authentication firewall)",
	0xc0000418:         "takes no NTLM (its policy \"Restrict NTLM\"): --kerberos or --keytab meets that",
}

// statusOf is the NT status that an error of the library is; ok is false when it is none. The library keeps three of them as errors
// of the os package.
func statusOf(err error) (status uint32, ok bool) {
	var answer *smb2.ResponseError
	switch {
	case errors.As(err, &answer):
		return answer.Code, true
	case errors.Is(err, os.ErrNotExist):
		return statusObjectNameNotFound, true
	case errors.Is(err, os.ErrPermission):
		return statusAccessDenied, true
	case errors.Is(err, smb2.ErrRequestNotAccepted):
		return 0xc00000d0, true
	}
	return 0, false
}

// refusedWith is the failure of a request that a server answered with a status that has no words of its own.
func refusedWith(what string, status uint32) *evidence.Failure {
	if status == statusAccessDenied {
		return evidence.Fail(evidence.Denied, what+" is refused: the account has no right to it")
	}
	return evidence.Fail(evidence.Protocol, fmt.Sprintf("%s fails with the status 0x%08X", what, status))
}
