package main

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"ocsdoctor/checks/policy"
)

// readWaivers reads a waiver file. Errors name the place.
func readWaivers(name string) ([]policy.Waiver, error) {
	b, err := readBounded(name, 1<<20)
	if err != nil {
		return nil, err
	}
	var file struct {
		Waivers []struct {
			Check   string `yaml:"check"`
			Subject string `yaml:"subject"`
			Reason  string `yaml:"reason"`
			Until   string `yaml:"until"`
			By      string `yaml:"by"`
		} `yaml:"waivers"`
	}
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&file); err != nil {
		return nil, errors.New(strings.TrimLeft(yamlProblem(err), ": "))
	}
	var out []policy.Waiver
	for i, w := range file.Waivers {
		until, err := time.Parse(time.DateOnly, w.Until)
		switch {
		case w.Check == "":
			return nil, fmt.Errorf("waiver %d: check is missing", i+1)
		case w.Reason == "":
			return nil, fmt.Errorf("waiver %d (%s): reason is missing", i+1, w.Check)
		case err != nil:
			return nil, fmt.Errorf("waiver %d (%s): until must be a date such as 2027-03-31", i+1, w.Check)
		}
		if _, err := path.Match(w.Subject, ""); err != nil {
			return nil, fmt.Errorf("waiver %d (%s): subject: %w", i+1, w.Check, err)
		}
		out = append(out, policy.Waiver{Check: w.Check, Subject: w.Subject, Reason: w.Reason, Until: until, By: w.By})
	}
	return out, nil
}
