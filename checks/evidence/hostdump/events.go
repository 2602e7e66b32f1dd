package hostdump

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ocsdoctor/checks/evidence/facts"
)

// The bounds of an event log.
const (
	maxEvents  = 2000 // that are kept, the newest
	maxRecords = 500_000
	maxNesting = 16
	maxStrings = 256
)

// parseEvents reads the newest records of a log, from the XML of wevtutil or the binary form in which Windows Server 2003 saves one.
func parseEvents(b []byte, codePage string) (facts.EventList, error) {
	var events []facts.Event
	var whole bool
	var err error
	if isEventFile(b) {
		events, whole, err = parseEventFile(b)
		slices.Reverse(events) // it has the oldest first
	} else {
		events, whole, err = parseEventXML(decode(b, codePage))
	}
	if err != nil {
		return facts.EventList{}, err
	}
	slices.SortStableFunc(events, func(a, b facts.Event) int { return b.Time.Compare(a.Time) })
	l := facts.EventList{Exists: true, Events: events, Complete: whole && len(events) < maxEvents}
	if len(l.Events) > maxEvents {
		l.Events = l.Events[:maxEvents]
	}
	return l, nil
}

// parseEventXML reads the records that wevtutil qe writes one after the other, with or without an element around them: with one, a log
// without records says something too. Text in them is escaped, so that the tags of a record can be found without reading it.
func parseEventXML(text string) (events []facts.Event, whole bool, err error) {
	const open, end = "<Event", "</Event>"
	rest, around := text, strings.Contains(text, "<Events>")
	for {
		at := strings.Index(rest, open)
		switch {
		case at >= 0:
		case len(events) == 0 && !around:
			return nil, false, errors.New("it holds no record")
		default:
			return events, !around || strings.Contains(rest, "</Events>"), nil
		}
		rest = rest[at:]
		if next := rest[len(open):]; next == "" || !strings.ContainsRune(" >\t\n", rune(next[0])) {
			rest = next // <Events>
			continue
		}
		stop := strings.Index(rest, end)
		switch {
		case stop < 0:
			return nil, false, fmt.Errorf("record %d does not end", len(events)+1)
		case len(events) == maxRecords:
			return nil, false, fmt.Errorf("more than %d records", maxRecords)
		}
		e, err := parseEvent(rest[:stop+len(end)])
		if err != nil {
			return nil, false, fmt.Errorf("record %d: %w", len(events)+1, err)
		}
		events = append(events, e)
		rest = rest[stop+len(end):]
	}
}

// eventSystem is the part of a record that says what it is.
type eventSystem struct {
	Provider struct {
		Name   string `xml:"Name,attr"`
		Source string `xml:"EventSourceName,attr"`
	}
	EventID struct {
		Qualifiers string `xml:"Qualifiers,attr"`
		Number     string `xml:",chardata"`
	}
	Level       string
	Keywords    string
	TimeCreated struct {
		SystemTime string `xml:"SystemTime,attr"`
	}
}

// parseEvent reads one record.
func parseEvent(text string) (facts.Event, error) {
	d := xml.NewDecoder(strings.NewReader(printable(text)))
	var e facts.Event
	var seen bool
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			if !seen {
				return e, errors.New("it has no System part")
			}
			return e, nil
		}
		if err != nil {
			return e, fmt.Errorf("it is no XML: %w", err)
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "System":
			var s eventSystem
			if err := d.DecodeElement(&s, &start); err != nil {
				return e, fmt.Errorf("its System part: %w", err)
			}
			if err := s.into(&e); err != nil {
				return e, err
			}
			seen = true
		case "EventData", "UserData":
			if e.Strings, err = texts(d); err != nil {
				return e, err
			}
		case "Event":
		default:
			if err := d.Skip(); err != nil {
				return e, fmt.Errorf("it is no XML: %w", err)
			}
		}
	}
}

func (s eventSystem) into(e *facts.Event) error {
	e.Source = s.Provider.Source
	if e.Source == "" {
		e.Source = s.Provider.Name
	}
	id, err := strconv.ParseUint(strings.TrimSpace(s.EventID.Number), 10, 16)
	if err != nil {
		return errors.New("its identifier is no number")
	}
	qualifiers := uint64(0)
	if s.EventID.Qualifiers != "" {
		if qualifiers, err = strconv.ParseUint(s.EventID.Qualifiers, 10, 16); err != nil {
			return errors.New("the qualifiers of its identifier are no number")
		}
	}
	e.ID = uint32(qualifiers<<16 | id) //nolint:gosec // 16 bits each
	e.Type = eventType(strings.TrimSpace(s.Level), strings.TrimSpace(s.Keywords))
	if e.Time, err = time.Parse(time.RFC3339Nano, s.TimeCreated.SystemTime); err != nil {
		return errors.New("its time is not of the form 2006-01-02T15:04:05Z")
	}
	e.Time = e.Time.UTC()
	return nil
}

// eventType is the type of a record by its level and keywords: audits have the level 0.
func eventType(level, keywords string) uint16 {
	switch level {
	case "1", "2":
		return 1
	case "3":
		return 2
	case "0":
		k, err := strconv.ParseUint(strings.TrimPrefix(keywords, "0x"), 16, 64)
		const success, failure = 0x20000000000000, 0x10000000000000
		switch {
		case err != nil:
		case k&failure != 0:
			return 16
		case k&success != 0:
			return 8
		}
	}
	return 4
}

// texts are those of the elements that hold no others, up to the end of the element that was begun. Binary data is left out.
func texts(d *xml.Decoder) ([]string, error) {
	var out []string
	var text strings.Builder
	leaf := []bool{true} // whether the element at that depth has had none in it
	names := []string{""}
	for {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("its data is no XML: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if len(leaf) == maxNesting || len(out) == maxStrings {
				return nil, errors.New("its data is too deep or too long")
			}
			leaf[len(leaf)-1] = false
			leaf, names = append(leaf, true), append(names, t.Name.Local)
			text.Reset()
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			last := len(leaf) - 1
			if last == 0 {
				return out, nil
			}
			if leaf[last] && names[last] != "Binary" {
				out = append(out, text.String())
			}
			leaf, names = leaf[:last], names[:last]
			text.Reset()
		}
	}
}

// printable puts a space for each character that XML may not have: sources write anything into their records.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF {
			return ' '
		}
		return r
	}, s)
}

// The form in which Windows Server 2003 saves a log: a header, then records ([MS-EVEN] 2.2.3), each with its length before it and
// after it.
const (
	eventMark   = "LfLe"
	eventHeader = 0x30
	eventFixed  = 56 // of a record, before its source
)

func isEventFile(b []byte) bool {
	return len(b) >= eventHeader && binary.LittleEndian.Uint32(b) == eventHeader && string(b[4:8]) == eventMark
}

// parseEventFile reads the records of a saved log. One that goes round its end, as in the file of a log that is in use, is left out, and
// then the log is not whole.
func parseEventFile(b []byte) (events []facts.Event, whole bool, err error) {
	whole = true
	for at := eventHeader; at+eventFixed <= len(b); {
		size := int(binary.LittleEndian.Uint32(b[at:]))
		switch {
		case string(b[at+4:at+8]) == eventMark && size >= eventFixed && size <= len(b)-at && int(binary.LittleEndian.Uint32(b[at+size-4:])) == size:
			if len(events) == maxRecords {
				return nil, false, fmt.Errorf("more than %d records", maxRecords)
			}
			e, err := parseEventRecord(b[at : at+size])
			if err != nil {
				return nil, false, fmt.Errorf("the record at %d: %w", at, err)
			}
			events = append(events, e)
			at += size
		case size == 0x28 && binary.LittleEndian.Uint32(b[at+4:]) == 0x11111111: // the record that marks the end
			at += 0x28
		default:
			next := bytes.Index(b[at+8:], []byte(eventMark))
			if next < 0 {
				return events, false, nil
			}
			whole = false
			at += 4 + next
		}
	}
	return events, whole, nil
}

// parseEventRecord reads one record.
func parseEventRecord(b []byte) (facts.Event, error) {
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	e := facts.Event{Time: time.Unix(int64(u32(12)), 0).UTC(), ID: u32(20), Type: binary.LittleEndian.Uint16(b[24:])}
	count, at := int(binary.LittleEndian.Uint16(b[26:])), u32(36)
	var ok bool
	if e.Source, _, ok = zeroEnded(b[eventFixed:]); !ok {
		return e, errors.New("its source does not end")
	}
	if count > maxStrings {
		return e, errors.New("it has too many texts")
	}
	if count > 0 && int64(at) > int64(len(b)) {
		return e, errors.New("its texts lie outside")
	}
	rest := b[min(int(at), len(b)):]
	for range count {
		var s string
		if s, rest, ok = zeroEnded(rest); !ok {
			return e, errors.New("a text does not end")
		}
		e.Strings = append(e.Strings, s)
	}
	return e, nil
}

// zeroEnded takes a UTF-16 text with its final NUL off some bytes.
func zeroEnded(b []byte) (s string, rest []byte, ok bool) {
	for i := 0; i+1 < len(b); i += 2 {
		if b[i] == 0 && b[i+1] == 0 {
			return facts.UTF16(b[:i]), b[i+2:], true
		}
	}
	return "", nil, false
}
