package all

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var update = flag.Bool("update", false, "rewrite ids.golden")

func TestChecksAreValid(t *testing.T) {
	t.Parallel()
	for _, err := range checks.Validate(Checks()) {
		t.Error(err)
	}
}

func TestKindsAreValid(t *testing.T) {
	t.Parallel()
	if err := evidence.ValidateKinds(facts.All); err != nil {
		t.Error(err)
	}
}

// A check cannot declare a kind that bundles and the catalogue do not know.
func TestChecksNeedListedKinds(t *testing.T) {
	t.Parallel()
	for _, c := range Checks() {
		for _, k := range c.Needs {
			if !slices.Contains(facts.All, k) {
				t.Errorf("%s needs %s, which facts.All does not list", c.ID, k.KindName())
			}
		}
	}
}

// Ids, tags and severities are what waivers, baselines and scripts refer to: changing one is a decision, made with -update.
func TestIDsArePermanent(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, c := range Checks() {
		for _, m := range c.Messages {
			fmt.Fprintf(&b, "%s:%s %s\n", c.ID, m.Tag, m.Severity)
		}
	}
	if *update {
		if err := os.WriteFile("ids.golden", []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	golden, err := os.ReadFile("ids.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(golden) {
		t.Errorf("the ids are now\n%s\nids.golden has\n%s\nif that is meant, run go test ./checks/all -update", got, golden)
	}
}
