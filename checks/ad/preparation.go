package ad

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// copies are what the domain controllers hold of one thing, in the order of their names.
type copies[T any] []held[T]

// held is what one domain controller holds, or err says why that could not be read.
type held[T any] struct {
	dc    string
	value T
	err   error
}

// readCopies asks the domain controllers the same side by side.
func readCopies[T any](r *evidence.Reader, k *evidence.Kind[facts.DCQuestion, T], dcs []string) copies[T] {
	var questions []facts.DCQuestion
	for _, dc := range dcs {
		questions = append(questions, facts.DCQuestion{DC: dc})
	}
	values, errs := evidence.GetAll(r, k, questions)
	var out copies[T]
	for i, dc := range dcs {
		out = append(out, held[T]{dc, values[i], errs[i]})
	}
	return out
}

// known are the copies that could be read.
func (c copies[T]) known() copies[T] {
	return slices.DeleteFunc(slices.Clone(c), func(h held[T]) bool { return h.err != nil })
}

// failure is why the first of those that could not be read could not; nil when all were.
func (c copies[T]) failure() error {
	for _, h := range c {
		if h.err != nil {
			return h.err
		}
	}
	return nil
}

// excuse passes over those that could not be read: what is judged is replicated, and the ad/*-converged checks tell whether it has
// reached every domain controller.
func (c copies[T]) excuse(p *checks.Pass) {
	for _, h := range c {
		p.Excuse(h.err, "another domain controller told; whether this one has it too is judged by the check of convergence")
	}
}

// names are the domain controllers.
func (c copies[T]) names() []string {
	var out []string
	for _, h := range c {
		out = append(out, h.dc)
	}
	return out
}

// forestControllers are all domain controllers to judge, as questions name them.
func forestControllers(r *evidence.Reader) ([]string, error) {
	list, err := facts.Controllers.Get(r, evidence.None{})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range list {
		out = append(out, c.Ask)
	}
	return out, nil
}

// forestSettings is what each domain controller holds of what forest preparation made.
type forestSettings struct {
	dir facts.DirectoryData
	copies[[]facts.SettingsPlace]
	// rooted are the domain controllers of the forest root domain: no other holds the place CN=System.
	rooted []string
}

// settingsNeeds are the kinds that readSettings reads.
var settingsNeeds = []evidence.AnyKind{facts.Directory, facts.Controllers, facts.RootDSE, facts.ForestSettings}

func readSettings(r *evidence.Reader) (forestSettings, error) {
	dir, err := facts.Directory.Get(r, evidence.None{})
	if err != nil {
		return forestSettings{}, err
	}
	dcs, err := forestControllers(r)
	if err != nil {
		return forestSettings{}, err
	}
	s := forestSettings{dir: dir, copies: readCopies(r, facts.ForestSettings, dcs)}
	for _, h := range readCopies(r, facts.RootDSE, s.known().names()).known() {
		if facts.DomainOfDN(h.value.Get("defaultNamingContext")) == dir.Forest {
			s.rooted = append(s.rooted, h.dc)
		}
	}
	if len(s.known()) == 0 {
		return s, s.failure()
	}
	return s, nil
}

// systemUnread is why it is not known what stands at the place CN=System; nil when a domain controller of the root domain told.
func (s forestSettings) systemUnread() error {
	if len(s.rooted) > 0 {
		return nil
	}
	if err := s.failure(); err != nil {
		return err
	}
	return evidence.Fail(evidence.NotConfigured, "CN=System of the root domain can be read on its own domain controllers only: name one of "+s.dir.Forest+" with --dc")
}

// cites are the searches that show what the domain controllers hold.
func (s forestSettings) cites() []evidence.Key {
	var keys []evidence.Key
	for _, h := range s.known() {
		questions := facts.SettingsQuestions(h.dc, s.dir)
		if !slices.Contains(s.rooted, h.dc) {
			questions = questions[:1]
		}
		for _, q := range questions {
			keys = append(keys, facts.Search.Key(q))
		}
	}
	return keys
}

// place is what a domain controller holds at one of the two places.
func place(places []facts.SettingsPlace, name string) (facts.SettingsPlace, bool) {
	i := slices.IndexFunc(places, func(p facts.SettingsPlace) bool { return p.Place == name })
	if i < 0 {
		return facts.SettingsPlace{}, false
	}
	return places[i], true
}

// containerNames are the containers of forest preparation as the consoles call them, by class.
var containerNames = map[string]string{
	facts.ClassService: "RTC Service", facts.ClassGlobal: "Global Settings", facts.ClassContacts: "Application Contacts",
	facts.ClassMappings: "Location Contact Mappings", facts.ClassConference: "Conference Directories",
}

// convergence is where something stands and where it does not.
type convergence struct{ have, lack []string }

// compareCopies sorts the domain controllers by what they lack of all that any of them holds. A domain controller that lacks something is in lack
// with what that is; one that lacks nothing is in have.
func compareCopies(items copies[[]string]) convergence {
	var all []string
	for _, h := range items {
		for _, item := range h.value {
			if !slices.Contains(all, item) {
				all = append(all, item)
			}
		}
	}
	var c convergence
	for _, h := range items {
		missing := slices.DeleteFunc(slices.Clone(all), func(item string) bool { return slices.Contains(h.value, item) })
		switch {
		case len(missing) == 0:
			c.have = append(c.have, h.dc)
		case len(missing) == len(all):
			c.lack = append(c.lack, h.dc+" (all of it)")
		default:
			c.lack = append(c.lack, h.dc+" ("+facts.Few(missing, ", ", maxNamed)+")")
		}
	}
	return c
}

// errOneController says why convergence is not judged.
var errOneController = checks.NotApplicable("there is only one domain controller")
