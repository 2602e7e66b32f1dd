package facts

import (
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/ntds"
)

// Replica is the state of one partition on one domain controller.
type Replica struct {
	// Partition is the DN of the naming context.
	Partition string `json:"partition"`
	// Links are the inbound links (repsFrom), Cursors the replUpToDateVector.
	Links   []ntds.Link   `json:"links,omitempty"`
	Cursors []ntds.Cursor `json:"cursors,omitempty"`
}

// ReplicaLinks is the stored state of replication on one domain controller, partition by partition: repsFrom and
// replUpToDateVector, which every account may read ([MS-DRSR] 5.170, 5.211). Windows and Samba keep them alike.
var ReplicaLinks = &evidence.Kind[DCQuestion, []Replica]{
	Name:  "ad.replica-links",
	Doc:   "the inbound replication links and cursors that one domain controller stores for each partition",
	Needs: []evidence.AnyKind{RootDSE, Search},
	Derive: func(r *evidence.Reader, q DCQuestion) ([]Replica, error) {
		root, err := RootDSE.Get(r, q)
		if err != nil {
			return nil, err
		}
		questions := ReplicaQuestions(q.DC, root)
		found, errs := evidence.GetAll(r, Search, questions)
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		var out []Replica
		for i, s := range questions {
			replica := Replica{Partition: s.Base}
			for _, e := range found[i].Entries {
				bad := func(attribute string, err error) *evidence.Failure {
					return evidence.FailAt(evidence.Protocol, q.DC+" gives a malformed "+attribute+" of "+s.Base+": "+err.Error(), Search.Key(s))
				}
				for _, raw := range e.Values("repsFrom") {
					l, err := ntds.ParseRepsFrom(raw)
					if err != nil {
						return nil, bad("repsFrom", err)
					}
					replica.Links = append(replica.Links, l)
				}
				if raw := first(e.Values("replUpToDateVector")); raw != nil {
					if replica.Cursors, err = ntds.ParseUpToDateVector(raw); err != nil {
						return nil, bad("replUpToDateVector", err)
					}
				}
			}
			slices.SortFunc(replica.Links, func(a, b ntds.Link) int { return strings.Compare(string(a.Source), string(b.Source)) })
			out = append(out, replica)
		}
		return out, nil
	},
}

// ReplicaQuestions are the searches that ReplicaLinks rests on, for citing: one for each partition.
func ReplicaQuestions(dc string, root RootDSEData) []SearchQuestion {
	var out []SearchQuestion
	for _, nc := range sorted(root.All("namingContexts")) {
		out = append(out, NewSearch(dc, nc, "base", "(objectClass=*)", "repsFrom", "replUpToDateVector"))
	}
	return out
}

// NeighborData is the state of replication as the domain controller computes it.
type NeighborData struct {
	// Readable is false where the domain controller gives neither attribute: Samba has none, and Windows leaves them
	// out without an error for an account without the right.
	Readable bool              `json:"readable,omitempty"`
	Links    []ntds.Neighbor   `json:"links,omitempty"`
	Failures []ntds.DSAFailure `json:"failures,omitempty"`
}

// Neighbors is what msDS-ReplAllInboundNeighbors and msDS-ReplConnectionFailures of the rootDSE say ([MS-ADTS] 3.1.1.3.2.28), which takes
// the right "Monitor Active Directory Replication".
var Neighbors = &evidence.Kind[DCQuestion, NeighborData]{
	Name:  "ad.replication-neighbors",
	Doc:   "the inbound replication links as one domain controller computes them for those who may monitor replication",
	Needs: []evidence.AnyKind{Search},
	Derive: func(r *evidence.Reader, q DCQuestion) (NeighborData, error) {
		s := NeighborQuestion(q.DC)
		res, err := Search.Get(r, s)
		if err != nil || len(res.Entries) == 0 {
			return NeighborData{}, err
		}
		e := res.Entries[0]
		var d NeighborData
		for _, raw := range e.Values("msDS-ReplAllInboundNeighbors") {
			n, err := ntds.ParseNeighbor(raw)
			if err != nil {
				return NeighborData{}, evidence.FailAt(evidence.Protocol, q.DC+" gives a malformed msDS-ReplAllInboundNeighbors: "+err.Error(), Search.Key(s))
			}
			d.Readable = true
			d.Links = append(d.Links, n)
		}
		for _, raw := range e.Values("msDS-ReplConnectionFailures") {
			f, err := ntds.ParseDSAFailure(raw)
			if err != nil {
				return NeighborData{}, evidence.FailAt(evidence.Protocol, q.DC+" gives a malformed msDS-ReplConnectionFailures: "+err.Error(), Search.Key(s))
			}
			d.Readable = true
			d.Failures = append(d.Failures, f)
		}
		return d, nil
	},
}

// NeighborQuestion is the search that Neighbors rests on, for citing.
func NeighborQuestion(dc string) SearchQuestion {
	return NewSearch(dc, "", "base", "(objectClass=*)", "msDS-ReplAllInboundNeighbors", "msDS-ReplConnectionFailures")
}
