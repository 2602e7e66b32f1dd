package hostdump

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence/facts"
)

const maxServices = 20_000

// The lines of a service that are read, by their place: sc translates their labels, and what it says after the numbers.
const (
	lineType = iota
	lineState
	lineExit
	lineSpecificExit
	lineCheckpoint
	lineWaitHint
	linePID
)

// parseServices reads the text of sc queryex. A block begins with two lines at the margin, the short name and the display name;
// the indented ones that follow are known by their place. Of two blocks of one service the later one wins.
func parseServices(text string) (facts.ServiceList, error) {
	var list facts.ServiceList
	places := map[string]int{}
	var s facts.Service
	margin, indented := 0, 0
	end := func() error {
		if margin == 0 {
			return nil
		}
		if indented <= lineSpecificExit || s.Name == "" {
			return fmt.Errorf("the service %q has no state or exit code", s.Name)
		}
		lower := strings.ToLower(s.Name)
		if at, ok := places[lower]; ok {
			list.Services[at] = s
		} else {
			places[lower] = len(list.Services)
			list.Services = append(list.Services, s)
		}
		s, margin, indented = facts.Service{}, 0, 0
		return nil
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if len(line) > maxLine {
			return list, fmt.Errorf("line %d: %w", n, errLine)
		}
		_, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.TrimSpace(line) == "":
			continue
		case strings.HasPrefix(line, "["): // [SC] ... FAILED 5, in any language
			return list, fmt.Errorf("line %d: sc says that it failed", n)
		case !ok: // what a state accepts, in brackets; FLAGS goes without a value
			continue
		case line[0] != ' ' && line[0] != '\t':
			if margin == 2 || indented > 0 {
				if err := end(); err != nil {
					return list, fmt.Errorf("line %d: %w", n, err)
				}
			}
			if margin++; margin == 1 {
				if len(list.Services) == maxServices {
					return list, fmt.Errorf("line %d: more than %d services", n, maxServices)
				}
				s.Name = value
			} else {
				s.DisplayName = value
			}
			continue
		case margin == 0:
			return list, fmt.Errorf("line %d: it belongs to no service", n)
		}
		if err := readService(&s, indented, value); err != nil {
			return list, fmt.Errorf("line %d: %w", n, err)
		}
		indented++
	}
	if err := end(); err != nil {
		return list, err
	}
	if len(list.Services) == 0 {
		return list, errors.New("it names no service")
	}
	return list, nil
}

// readService reads one indented line of a service.
func readService(s *facts.Service, place int, value string) error {
	var into *uint32
	switch place {
	case lineState:
		into = (*uint32)(&s.State)
	case lineExit:
		into = &s.ExitCode
	case lineSpecificExit:
		into = &s.SpecificExitCode
	case linePID:
		into = &s.PID
	default:
		return nil
	}
	digits, _, _ := strings.Cut(value, " ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < -1<<31 || n >= 1<<32 {
		return errors.New("there is no number where sc writes one")
	}
	*into = uint32(n) //nolint:gosec // sc writes a code as a signed number on some versions
	return nil
}
