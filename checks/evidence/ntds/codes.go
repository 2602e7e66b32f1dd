package ntds

import "strconv"

// Transient are the results of replication that a schema change brings about for a while: schema mismatch, preempted,
// and the rebuilding of the partial attribute set.
func Transient(result uint32) bool { return result == 8418 || result == 8461 || result == 8464 }

// meaning is what a result of replication says and the usual fix ([MS-ERREF] 2.2; repadmin's documentation).
type meaning struct{ text, fix string }

var meanings = map[uint32]meaning{
	5:          {"access is denied", "look for a clock that is off, a broken secure channel (`nltest /sc_verify`) and the policy \"Access this computer from the network\""},
	58:         {"the server cannot perform the operation", "look at the partner's `<guid>._msdcs` record, whether it runs, and at the firewall (TCP 135 and the dynamic RPC ports)"},
	1225:       {"the partner refuses the connection", "start the domain controller or its directory service, and look at the firewall (TCP 135 and the dynamic RPC ports)"},
	1232:       {"no network way leads to the partner", "look at routers, cabling and the firewall between the two"},
	1256:       {"the partner is not available; another partition shows why", "mend the error of the other partition first"},
	1326:       {"the logon on the partner failed", "set the clock that is off (`w32tm /resync`), and renew the password of the partner's computer account with `netdom resetpwd`"},
	1396:       {"the target account name is incorrect", "look for a duplicate service principal name and for the partner's computer account; `netdom resetpwd` renews its password"},
	1398:       {"the clocks of the two differ too much", "set the clock that is off: `w32tm /resync` on it"},
	1722:       {"the RPC server is unavailable", "look at the partner's `<guid>._msdcs` record, whether it runs, and at the firewall (TCP 135 and the dynamic RPC ports)"},
	1727:       {"the remote procedure call failed", "look at the firewall and the largest packet (MTU) between the two"},
	1753:       {"the endpoint mapper has no more endpoints", "look whether the partner's name leads to another machine's address, and restart its directory service"},
	1908:       {"the domain controller for the domain could not be found", "look at DNS on both sides and at the Key Distribution Center service of the partner"},
	8418:       {"schema mismatch: the schema has to replicate first", "wait: this is normal right after a change of the schema"},
	8451:       {"a database error", "check the database with `ntdsutil` (files, integrity)"},
	8452:       {"the partition is being removed or is not replicated from there", "let the topology be computed anew: `repadmin /kcc`"},
	8453:       {"replication access was denied", "look at the permissions of the partition's head, and run `adprep /rodcprep` where an RODC is the partner"},
	8456:       {"the source rejects replication requests", "outbound replication is disabled there; look for a restored image (USN rollback) before it is enabled"},
	8457:       {"the destination rejects replication requests", "inbound replication is disabled there; look for a restored image (USN rollback) before it is enabled"},
	8461:       {"the operation was preempted", "wait: this is normal queueing"},
	8464:       {"waiting for the partial attribute set to be rebuilt", "wait: this is normal after a change of the schema"},
	8524:       {"the DNS lookup of the partner failed", "let the partner register its records: `nltest /dsregdns` on it, then `dcdiag /test:dns`"},
	8589:       {"the partner's service principal name is missing", "look at the servicePrincipalName of the partner's computer account"},
	8606:       {"not enough attributes to create an object: a lingering object", "`repadmin /removelingeringobjects`"},
	8614:       {"the time since the last replication exceeds the tombstone lifetime", "demote and promote the domain controller that lagged"},
	0x80090322: {"the target principal name is incorrect", "`netdom resetpwd` on the partner, with its Key Distribution Center service stopped meanwhile"},
}

// Meaning is what a Win32 result of replication says in words.
func Meaning(result uint32) string {
	if m, ok := meanings[result]; ok {
		return m.text
	}
	return "error " + Code(result)
}

// Remedy is the usual fix of a result of replication, as Markdown without a final full stop.
func Remedy(result uint32) string {
	if m, ok := meanings[result]; ok {
		return m.fix
	}
	return "look at `repadmin /showrepl` on the destination"
}

// Code is a result as administrators know it: decimal, or hexadecimal where it is an HRESULT.
func Code(result uint32) string {
	if result&0x80000000 != 0 {
		return "0x" + strconv.FormatUint(uint64(result), 16)
	}
	return strconv.FormatUint(uint64(result), 10)
}
