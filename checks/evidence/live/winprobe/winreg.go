package winprobe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// winreg is [MS-RRP]: 338cd001-2244-31f1-aaaa-900038001003, version 1.0. On a 64-bit Windows the service is a 64-bit program: what it
// opens is the 64-bit view unless the other one is asked for.
var winreg = service{
	pipe:   "winreg",
	syntax: syntax{[16]byte{0x01, 0xd0, 0x8c, 0x33, 0x44, 0x22, 0xf1, 0x31, 0xaa, 0xaa, 0x90, 0x00, 0x38, 0x00, 0x10, 0x03}, 1},
	name:   "its registry",
	hint: "its service Remote Registry is not running, and is not started from here" +
		" (whether to start it is yours to decide; collect.cmd and --host-dump do without)",
}

// The operations ([MS-RRP] 3.1.5) and the right that each open asks for, KEY_READ (2.2.3).
const (
	opOpenLocalMachine = 2
	opOpenUsers        = 4
	opCloseKey         = 5
	opEnumKey          = 9
	opEnumValue        = 10
	opOpenKey          = 15
	opQueryInfoKey     = 16
	opQueryValue       = 17
	opQueryValues      = 29

	keyRead = 0x20019
)

// Windows errors that mean something here ([MS-ERREF] 2.2).
const (
	errorSuccess      = 0
	errorFileNotFound = 2
	errorPathNotFound = 3
	errorAccessDenied = 5
	errorMoreData     = 234
	errorNoMoreItems  = 259
	errorKeyDeleted   = 1018
)

// The bounds of one question.
const (
	maxDepth      = 4
	maxKeys       = 50_000
	maxValues     = 100_000
	maxValue      = 4 << 20  // bytes of one value
	maxRegistry   = 64 << 20 // bytes of all values with their names
	firstValue    = 4 << 10  // room for a value; one that is longer is asked for again
	maxName       = 256      // of a key, in characters, with its NUL ([MS-RRP] 3.1.1.1)
	maxNameValue  = 16_384   // of a value (3.1.1.5)
	roomOfClass   = 512      // for the class of a key, in characters: Windows fails with ERROR_MORE_DATA where it has a longer one
	fewSubKeys    = 16       // that are read over one pipe
	maxKeyPath    = 1024     // of a question
	maxQueryNames = 64
	maxLeft       = 1000 // sub-keys that a pipe has open; Samba takes 2048
	maxUTF8       = 3    // bytes of one unit of UTF-16
	roomAtOnce    = 256  // for all the values that are asked for at once: each way, all of it is sent
)

// hiveOpens are the operations that open the roots.
var hiveOpens = map[string]uint16{"HKLM": opOpenLocalMachine, "HKEY_LOCAL_MACHINE": opOpenLocalMachine, "HKU": opOpenUsers, "HKEY_USERS": opOpenUsers}

// Registry is win.registry.
func (c *Client) Registry(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.RegistryQuestion) (facts.RegistryKey, error) {
	hive, path, _ := strings.Cut(strings.Trim(q.Key, `\`), `\`)
	op, known := hiveOpens[strings.ToUpper(hive)]
	if !known || q.Depth < 0 || q.Depth > maxDepth || len(q.Key) > maxKeyPath || len(q.Values) > maxQueryNames {
		return facts.RegistryKey{}, evidence.Fail(evidence.Internal, "the registry cannot be asked: "+q.String())
	}
	s, err := c.server(ctx, tr, r, q.Host)
	if err != nil {
		return facts.RegistryKey{}, err
	}
	w := &walk{server: s, key: q.Key, values: q.Values}
	k, err := w.read(ctx, tr, op, path, q.Depth)
	if err != nil {
		return facts.RegistryKey{}, err
	}
	if i := strings.LastIndexByte(q.Key, '\\'); k.Name == "" {
		k.Name = q.Key[i+1:]
	}
	tr.Log(fmt.Sprintf("registry: %d keys, %d values in %d calls", w.keys.Load(), w.count.Load(), w.calls.Load()))
	return k, nil
}

// walk reads one question's keys.
type walk struct {
	server *server
	key    string
	values []string

	keys, count, bytes, calls atomic.Int64
	// stopped tells the others that one has failed.
	stopped atomic.Bool
	// oneByOne tells that the server does not give several values at once.
	oneByOne atomic.Bool
}

// indexed is a sub-key with its place in the enumeration.
type indexed struct {
	at  uint32
	key facts.RegistryKey
}

// read reads a key and what stands below it. Where it has many sub-keys, they are read over several pipes side by side.
func (w *walk) read(ctx context.Context, tr *env.Trace, hive uint16, path string, depth int) (facts.RegistryKey, error) {
	var out facts.RegistryKey
	var next atomic.Uint32
	many := false
	visit := func(fn func(*pipe, handle) error) error {
		return w.server.with(ctx, tr, winreg, func(p *pipe) error {
			h, exists, err := w.open(p, hive, path)
			if err != nil || !exists {
				return err
			}
			if err := fn(p, h); err != nil {
				return err
			}
			return w.close(p, h)
		})
	}
	var found []indexed
	err := visit(func(p *pipe, h handle) (err error) {
		out.Exists = true
		w.keys.Add(1)
		if out.Values, err = w.readValues(p, h); err != nil || depth == 0 {
			return err
		}
		n, err := w.subKeys(p, h)
		if many = n > fewSubKeys; err != nil || many {
			return err
		}
		found, err = w.children(p, h, depth-1, &next)
		return err
	})
	if err != nil {
		return out, err
	}
	if many {
		parts, errs := make([][]indexed, maxPipes), make([]error, maxPipes)
		var wg sync.WaitGroup
		for i := range maxPipes {
			wg.Go(func() {
				errs[i] = visit(func(p *pipe, h handle) (err error) {
					parts[i], err = w.children(p, h, depth-1, &next)
					return err
				})
				if errs[i] != nil {
					w.stopped.Store(true)
				}
			})
		}
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				return out, err
			}
			found = append(found, parts[i]...)
		}
	}
	slices.SortFunc(found, func(a, b indexed) int { return cmp.Compare(a.at, b.at) })
	for _, f := range found {
		out.Keys = append(out.Keys, f.key)
	}
	return out, nil
}

// children reads the sub-keys whose places next gives, until there are no more.
func (w *walk) children(p *pipe, h handle, depth int, next *atomic.Uint32) ([]indexed, error) {
	var out []indexed
	for !w.stopped.Load() {
		at := next.Add(1) - 1
		name, ok, err := w.enumKey(p, h, at)
		if err != nil || !ok {
			return out, err
		}
		sub, exists, err := w.sub(p, h, name, depth)
		if err != nil {
			return nil, err
		}
		if exists { // else it was deleted meanwhile
			out = append(out, indexed{at, sub})
		}
	}
	return out, nil
}

// sub reads a sub-key.
func (w *walk) sub(p *pipe, parent handle, name string, depth int) (out facts.RegistryKey, exists bool, err error) {
	h, exists, err := w.openKey(p, parent, name)
	if err != nil || !exists {
		return out, false, err
	}
	if w.keys.Add(1) > maxKeys {
		return out, false, w.tooMuch()
	}
	out = facts.RegistryKey{Name: name, Exists: true}
	// Of thousands of keys, each call counts.
	atOnce := false
	if len(w.values) > 1 && !w.oneByOne.Load() {
		if out.Values, atOnce, err = w.valuesAtOnce(p, h); err != nil {
			return out, false, err
		}
	}
	if !atOnce {
		if out.Values, err = w.readValues(p, h); err != nil {
			return out, false, err
		}
	}
	if depth > 0 {
		var next atomic.Uint32
		below, err := w.children(p, h, depth-1, &next)
		if err != nil {
			return out, false, err
		}
		for _, b := range below {
			out.Keys = append(out.Keys, b.key)
		}
	}
	return out, true, w.leave(p, h)
}

// ask is a call, counted.
func (w *walk) ask(p *pipe, op uint16, args []byte) (*reader, error) {
	w.calls.Add(1)
	return p.ask(op, args)
}

// tooMuch is the failure of a key with more below it than is read.
func (w *walk) tooMuch() error {
	return evidence.Fail(evidence.Protocol, w.key+" of "+w.server.endpoint.Host+" holds more than is read")
}

// refused is the failure of a call that was answered with a Windows error.
func (w *walk) refused(code uint32) error {
	what := w.key + " of " + w.server.endpoint.Host
	if code == errorAccessDenied {
		return evidence.Fail(evidence.Denied, what+" may not be read: the account has no right to it")
	}
	return evidence.Fail(evidence.Protocol, fmt.Sprintf("%s cannot be read: error %d", what, code))
}

// answered is what a call's last field, the Windows error, amounts to, once all before it is read.
func (w *walk) answered(p *pipe, r *reader) (code uint32, err error) {
	code = r.u32()
	if r.bad {
		return 0, p.malformed(winreg)
	}
	return code, nil
}

// open opens a key of a hive.
func (w *walk) open(p *pipe, hive uint16, path string) (h handle, exists bool, err error) {
	root, ok := p.hives[hive]
	if !ok {
		var args writer
		args.null() // the server's name
		args.u32(keyRead)
		r, err := w.ask(p, hive, args.b)
		if err != nil {
			return h, false, err
		}
		root = r.handle()
		code, err := w.answered(p, r)
		if err != nil {
			return h, false, err
		}
		if code != errorSuccess {
			return h, false, w.refused(code)
		}
		p.hives[hive] = root
	}
	return w.openKey(p, root, path)
}

// openKey is BaseRegOpenKey ([MS-RRP] 3.1.5.15). A key that is not there is a value.
func (w *walk) openKey(p *pipe, parent handle, path string) (h handle, exists bool, err error) {
	var args writer
	args.handle(parent)
	args.text(path + "\x00")
	args.u32(0) // no options
	args.u32(keyRead)
	r, err := w.ask(p, opOpenKey, args.b)
	if err != nil {
		return h, false, err
	}
	h = r.handle()
	code, err := w.answered(p, r)
	switch {
	case err != nil:
		return h, false, err
	case code == errorFileNotFound, code == errorPathNotFound, code == errorKeyDeleted:
		return h, false, nil
	case code != errorSuccess:
		return h, false, w.refused(code)
	}
	return h, true, nil
}

// leave is done with a sub-key. The server closes what a pipe has open when the pipe is closed, so that of thousands of keys no call is spent on
// closing each; past maxLeft they are closed one by one, since servers bound what a pipe may have open.
func (w *walk) leave(p *pipe, h handle) error {
	if p.left < maxLeft {
		p.left++
		return nil
	}
	return w.close(p, h)
}

// close is BaseRegCloseKey (3.1.5.6).
func (w *walk) close(p *pipe, h handle) error {
	var args writer
	args.handle(h)
	_, err := w.ask(p, opCloseKey, args.b)
	return err
}

// subKeys is how many sub-keys a key has: BaseRegQueryInfoKey (3.1.5.16).
func (w *walk) subKeys(p *pipe, h handle) (uint32, error) {
	var args writer
	args.handle(h)
	args.u32(0) // an empty class, without a buffer
	args.null()
	r, err := w.ask(p, opQueryInfoKey, args.b)
	if err != nil {
		return 0, err
	}
	n := infoAnswer(r)
	code, err := w.answered(p, r)
	if err == nil && code != errorSuccess && code != errorMoreData { // for the class, which is not needed
		err = w.refused(code)
	}
	return n, err
}

// infoAnswer is the number of sub-keys in the answer of BaseRegQueryInfoKey.
func infoAnswer(r *reader) uint32 {
	r.text() // the class
	n := r.u32()
	for range 6 { // the longest name and class, the number of values, their longest name and data, the security descriptor
		r.u32()
	}
	r.u32() // when it was last written, low and high
	r.u32()
	return n
}

// enumKey is the name of the sub-key at a place: BaseRegEnumKey (3.1.5.10).
func (w *walk) enumKey(p *pipe, h handle, at uint32) (name string, ok bool, err error) {
	var args writer
	args.handle(h)
	args.u32(at)
	args.room(maxName)
	args.ref()
	args.room(roomOfClass) // its class: Samba wants room for it
	args.null()            // not when it was written
	r, err := w.ask(p, opEnumKey, args.b)
	if err != nil {
		return "", false, err
	}
	name = enumKeyAnswer(r)
	code, err := w.answered(p, r)
	switch {
	case err != nil:
		return "", false, err
	case code == errorNoMoreItems:
		return "", false, nil
	case code != errorSuccess:
		return "", false, w.refused(code)
	case name == "" || len(name) > maxUTF8*maxName:
		return "", false, p.malformed(winreg)
	}
	return name, true, nil
}

// enumKeyAnswer is the name in the answer of BaseRegEnumKey.
func enumKeyAnswer(r *reader) string {
	name := r.text()
	if r.u32() != 0 { // its class
		r.text()
	}
	if r.u32() != 0 { // when it was last written
		r.u32()
		r.u32()
	}
	return name
}

// readValues reads the values that are asked for.
func (w *walk) readValues(p *pipe, h handle) ([]facts.RegistryValue, error) {
	var out []facts.RegistryValue
	if len(w.values) > 0 {
		for _, name := range w.values {
			v, ok, err := w.value(p, opQueryValue, func(args *writer) { args.handle(h); args.text(name + "\x00") }, false)
			if err != nil {
				return nil, err
			}
			if ok {
				v.Name = name
				out = append(out, v)
			}
		}
		return out, nil
	}
	for at := uint32(0); ; at++ {
		v, ok, err := w.value(p, opEnumValue, func(args *writer) { args.handle(h); args.u32(at); args.room(maxNameValue) }, true)
		if err != nil || !ok {
			return out, err
		}
		out = append(out, v)
	}
}

// valuesAtOnce reads all values that are asked for in one call: BaseRegQueryMultipleValues (3.1.5.26). ok is false when it does not give
// them, most often because one of them is not there: then they are asked for one by one, which tells why. A server that does not know the
// operation, or answers in another form, is not asked so again.
func (w *walk) valuesAtOnce(p *pipe, h handle) (out []facts.RegistryValue, ok bool, err error) {
	var args writer
	n := uint32(len(w.values))
	args.handle(h)
	args.u32(n)
	args.u32(0)
	args.u32(n)
	for range w.values { // RVALENT: a pointer to the name, and the length, place and type that the answer has
		args.ref()
		args.u32(0)
		args.u32(0)
		args.u32(0)
	}
	for _, name := range w.values {
		args.text(name + "\x00")
	}
	args.u32(n)
	args.ref()
	args.u32(roomAtOnce)
	args.u32(0)
	args.u32(roomAtOnce)
	args.b = append(args.b, make([]byte, roomAtOnce)...)
	args.u32(roomAtOnce)
	w.calls.Add(1)
	r, err := p.try(opQueryValues, args.b)
	var f *fault
	if errors.As(err, &f) {
		w.oneByOne.Store(true)
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	out, readable := valuesAnswer(r, w.values)
	switch code := r.u32(); {
	case r.bad || code == errorSuccess && !readable:
		w.oneByOne.Store(true)
		return nil, false, nil
	case code != errorSuccess:
		return nil, false, nil
	case w.count.Add(int64(len(out))) > maxValues:
		return nil, false, w.tooMuch()
	}
	return out, true, nil
}

// valuesAnswer is the values in the answer of BaseRegQueryMultipleValues, in the order in which they were asked for.
func valuesAnswer(r *reader, names []string) (out []facts.RegistryValue, ok bool) {
	n, offset, actual := r.u32(), r.u32(), r.u32()
	if offset != 0 || n != actual || int(n) != len(names) {
		r.bad = true
		return nil, false
	}
	type place struct{ name, length, at, kind uint32 }
	places := make([]place, n)
	for i := range places {
		places[i] = place{r.u32(), r.u32(), r.u32(), r.u32()}
	}
	for _, p := range places {
		if p.name != 0 {
			r.text()
		}
	}
	b := r.buffer()
	r.u32() // how much of it is used
	if len(b) > roomAtOnce {
		return nil, false
	}
	for i, p := range places {
		if uint64(p.at)+uint64(p.length) > uint64(len(b)) {
			return nil, false
		}
		v := facts.RegistryValue{Name: names[i], Type: p.kind}
		if p.length > 0 {
			v.Data = slices.Clone(b[p.at:][:p.length])
		}
		out = append(out, v)
	}
	return out, true
}

// value is BaseRegQueryValue (3.1.5.17) or, named, BaseRegEnumValue (3.1.5.11), whose arguments begin with what which writes. A value
// that is longer than the room for it is asked for again, with the room that the server says it takes.
func (w *walk) value(p *pipe, op uint16, which func(*writer), named bool) (out facts.RegistryValue, ok bool, err error) {
	for room := uint32(firstValue); ; {
		var args writer
		which(&args)
		args.number(0) // its type
		args.buffer(room)
		args.number(room)
		args.number(0)
		r, err := w.ask(p, op, args.b)
		if err != nil {
			return out, false, err
		}
		v, data, needed := valueAnswer(r, named)
		code, err := w.answered(p, r)
		switch {
		case err != nil:
			return out, false, err
		case code == errorMoreData && needed > room:
			if needed > maxValue {
				return out, false, w.tooMuch()
			}
			room = min(max(needed, 2*room), maxValue) // so that a server whose need grows is asked a few times only
			continue
		case code == errorNoMoreItems && named, code == errorFileNotFound && !named:
			return out, false, nil
		case code != errorSuccess:
			return out, false, w.refused(code)
		case w.count.Add(1) > maxValues, w.bytes.Add(int64(len(v.Name)+len(data))) > maxRegistry:
			return out, false, w.tooMuch()
		}
		if len(data) > 0 {
			v.Data = slices.Clone(data)
		}
		return v, true, nil
	}
}

// valueAnswer is the value in the answer of BaseRegEnumValue or BaseRegQueryValue. data is valid until the next call.
func valueAnswer(r *reader, named bool) (v facts.RegistryValue, data []byte, needed uint32) {
	if named {
		v.Name = r.text()
	}
	v.Type = r.number()
	data = r.buffer()
	needed = r.number()
	r.number()
	return v, data, needed
}
