package knowledge

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxQuery bounds what is looked at of a query, in bytes: a pasted event or a screen of a trace is shorter.
const maxQuery = 4096

// maxTexts is how many entries a search by words gives.
const maxTexts = 3

// Find explains a code or a text. A code may be written in hexadecimal with or without 0x, in decimal, as a negative
// 32-bit number, as KB974571 or MS09-056, and may carry its kind ("event 12290", "ms-diagnostics: 1010"); without one, all
// kinds that have the number are given. In any other text the codes that stand in it are looked for; where none is known, its words
// are compared with the messages, and the best few entries are given. No entry means that nothing is known.
func Find(query string) []Entry {
	query = strings.TrimSpace(clip(query))
	var found []Entry
	for _, r := range references(query) {
		for _, e := range All() {
			if r.means(e) && !slices.ContainsFunc(found, func(f Entry) bool { return f.Kind == e.Kind && f.ID == e.ID }) {
				found = append(found, e)
			}
		}
	}
	if len(found) > 0 {
		return found
	}
	return search(query)
}

func clip(s string) string {
	if len(s) > maxQuery {
		return strings.ToValidUTF8(s[:maxQuery], "")
	}
	return s
}

// reference is a code that a query names: a number or, when name is set, a name.
type reference struct {
	number uint32
	name   string
	kinds  []Kind
}

func (r reference) means(e Entry) bool {
	if !slices.Contains(r.kinds, e.Kind) {
		return false
	}
	numbers, names := e.codes()
	if r.name != "" {
		return slices.Contains(names, r.name)
	}
	// An HRESULT of facility 7 carries a Windows error in its low half ([MS-ERREF] section 2.1.2).
	if e.Kind == Win32 && r.number&0xFFFF0000 == 0x80070000 {
		return slices.Contains(numbers, r.number&0xFFFF)
	}
	return slices.Contains(numbers, r.number)
}

var (
	anyNumber = []Kind{FaultCode, Event, MSDiagnostics, KB, Win32}
	errorCode = []Kind{FaultCode, Win32}

	// alone is a query that is nothing but a number; eight hexadecimal digits may lack their 0x.
	alone    = regexp.MustCompile(`(?i)^%*(-?[0-9]{1,10}|[0-9a-f]{8})[.,;:]?$`)
	bareHex  = regexp.MustCompile(`(?i)^[0-9a-f]{8}$`)
	bulletin = regexp.MustCompile(`(?i)\bMS[0-9]{2}-[0-9]{3}\b`)

	// inText are the spellings that say in any text what the number is. Other numbers in a text are ports, years and versions.
	inText = []struct {
		form  *regexp.Regexp
		kinds []Kind
	}{
		{regexp.MustCompile(`(?i)\b(0x[0-9a-f]{1,8})\b`), errorCode},
		{regexp.MustCompile(`(?i)\bKB[ -]?([0-9]{5,7})\b`), []Kind{KB}},
		{regexp.MustCompile(`(?i)(?:\bevent|[eé]v[eéè]nement)(?: ?id)?[ :=#]*([0-9]{1,6})\b`), []Kind{Event}},
		{regexp.MustCompile(`(?i)\bms-diagnostics(?:-public)?[ :=]*([0-9]{1,5})\b`), []Kind{MSDiagnostics}},
		{regexp.MustCompile(`(?i)\b(?:error|erreur|code|status)[ :=]*(-?[0-9]{1,10})\b`), anyNumber},
		{regexp.MustCompile(`(-?\b[0-9]{10})\b`), errorCode},
	}
)

// references are the codes that a query names, in the order in which the spellings are known.
func references(query string) []reference {
	var refs []reference
	if m := alone.FindStringSubmatch(query); m != nil {
		if n, ok := number(m[1]); ok {
			refs = append(refs, reference{number: n, kinds: anyNumber})
		}
		if bareHex.MatchString(m[1]) {
			if n, ok := number("0x" + m[1]); ok {
				refs = append(refs, reference{number: n, kinds: errorCode})
			}
		}
		return refs
	}
	for _, f := range inText {
		for _, m := range f.form.FindAllStringSubmatch(query, -1) {
			if n, ok := number(m[1]); ok {
				refs = append(refs, reference{number: n, kinds: f.kinds})
			}
		}
	}
	for _, b := range bulletin.FindAllString(query, -1) {
		refs = append(refs, reference{name: strings.ToLower(b), kinds: []Kind{KB}})
	}
	return refs
}

// number reads a 32-bit number: hexadecimal with 0x, decimal, or decimal and negative.
func number(s string) (uint32, bool) {
	if len(s) > 2 && strings.EqualFold(s[:2], "0x") {
		n, err := strconv.ParseUint(s[2:], 16, 32)
		return uint32(n), err == nil
	}
	if strings.HasPrefix(s, "-") {
		n, err := strconv.ParseInt(s, 10, 32)
		return uint32(int32(n)), err == nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}

// search finds the entries whose texts share most words with the query.
func search(query string) []Entry {
	asked := words(query)
	if len(asked) == 0 {
		return nil
	}
	type hit struct {
		entry  Entry
		shared int     // words of the query that the text has
		cover  float64 // share of the shorter of the two that is covered
	}
	var hits []hit
	for _, e := range All() {
		best := hit{entry: e}
		for _, text := range append([]string{e.ID, e.Title, e.Says}, e.Heard...) {
			has := words(text)
			if len(has) == 0 {
				continue
			}
			shared := 0
			for _, a := range asked {
				if slices.ContainsFunc(has, func(w string) bool { return alike(a, w) }) {
					shared++
				}
			}
			cover := float64(shared) / float64(min(len(asked), len(has)))
			if shared > best.shared || shared == best.shared && cover > best.cover {
				best.shared, best.cover = shared, cover
			}
		}
		// One word in common is chance, unless one is all that was asked; and most of the shorter text must be there.
		if best.shared >= min(2, len(asked)) && best.cover >= 0.6 {
			hits = append(hits, best)
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.shared, a.shared), cmp.Compare(b.cover, a.cover), cmp.Compare(rank(a.entry), rank(b.entry)))
	})
	var found []Entry
	for _, h := range hits {
		// What shares clearly less than the best is another message with a word or two in common.
		if len(found) < maxTexts && 3*h.shared > 2*hits[0].shared {
			found = append(found, h.entry)
		}
	}
	return found
}

// rank puts what users see before what only logs say.
func rank(e Entry) int {
	if e.Kind == Message {
		return 0
	}
	return 1
}

// alike tells whether two words are the same but for an ending or a slip: "verify" and "verifying", "certificat" and
// "certificate". A number that differs in one digit is another number.
func alike(a, b string) bool {
	if a == b {
		return true
	}
	if min(len(a), len(b)) < 6 || strings.ContainsAny(a+b, "0123456789") {
		return false
	}
	// Words of different lengths need not be compared letter by letter, which is slow.
	slip := max(len(a), len(b))-min(len(a), len(b)) <= 1 && distance(a, b) <= 1
	return slip || strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

// words are the telling words of a text in lower case, without accents, each once.
func words(text string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		w = unaccented.Replace(w)
		if len(w) > 1 && !slices.Contains(fillers, w) && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

var unaccented = strings.NewReplacer("à", "a", "â", "a", "ç", "c", "é", "e", "è", "e", "ê", "e", "ë", "e", "î", "i", "ï", "i", "ô", "o",
	"ù", "u", "û", "u", "ü", "u", "œ", "oe")

// fillers are words that say nothing about which message it is.
var fillers = strings.Fields(`an and are as at be because been by can cannot could did do does for from had has have in into is it its may
	might no not of on or that the their there this to try was were will with you your again please
	au aux avec ce cet cette ces dans de des du elle en est et etre il la le les ne nous ou par pas pour pu que qui sa se son sont sur un une
	vous votre communicator office microsoft`)
