package live

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"ocsdoctor/checks/evidence/facts"
)

// crowd is a domain controller with many users, in pages as they are asked for.
type crowd struct {
	users int
	pages int
}

func (w *crowd) handle(c net.Conn) {
	for {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, op := p.Children[0].Value.(int64), p.Children[1]
		switch op.Tag {
		case ldap.ApplicationExtendedRequest:
			respond(c, id, result(ldap.ApplicationExtendedResponse, ldap.LDAPResultUnavailable, ""))
		case ldap.ApplicationBindRequest:
			respond(c, id, result(ldap.ApplicationBindResponse, 0, ""))
		case ldap.ApplicationSearchRequest:
			w.page(c, id, p)
		}
	}
}

// member is an entry with names to replace by others of the same length, since encoding each anew takes the most time.
func member() []byte {
	var b bytes.Buffer
	respond(recorder{&b}, 0x7fffffff, entryOf("CN=userNNNNNN,OU=unitPP,DC=todorovic,DC=adds",
		"objectClass", "user", "sAMAccountName", "userNNNNNN", "mail", "userNNNNNN@todorovic.fr", "userAccountControl", "512",
		"proxyAddresses", "sip:userNNNNNN@todorovic.fr", "pwdLastSet", "132500000000000000", "accountExpires", "9223372036854775807",
		"msRTCSIP-UserEnabled", "TRUE", "msRTCSIP-PrimaryUserAddress", "sip:userNNNNNN@todorovic.fr",
		"msRTCSIP-PrimaryHomeServer", "CN=LC Services,CN=Microsoft,CN=poolH,CN=Pools,CN=RTC Service,CN=Services,CN=Configuration,DC=todorovic,DC=adds"))
	return b.Bytes()
}

// recorder is a connection that only keeps what is written.
type recorder struct{ io.Writer }

func (recorder) Read([]byte) (int, error)           { return 0, io.EOF }
func (recorder) Close() error                       { return nil }
func (recorder) LocalAddr() net.Addr                { return nil }
func (recorder) RemoteAddr() net.Addr               { return nil }
func (recorder) SetDeadline(_ time.Time) error      { return nil }
func (recorder) SetReadDeadline(_ time.Time) error  { return nil }
func (recorder) SetWriteDeadline(_ time.Time) error { return nil }

func (w *crowd) page(c net.Conn, id int64, p *ber.Packet) {
	w.pages++
	control, err := ldap.DecodeControl(p.Children[2].Children[0])
	if err != nil {
		return
	}
	paging := control.(*ldap.ControlPaging)
	from, _ := strconv.Atoi(string(paging.Cookie))
	to := min(from+int(paging.PagingSize), w.users)
	var out bytes.Buffer
	template := member()
	for i := from; i < to; i++ {
		message := strings.NewReplacer("\x7f\xff\xff\xff", string(binary.BigEndian.AppendUint32(nil, uint32(id))),
			"NNNNNN", fmt.Sprintf("%06d", i), "PP", fmt.Sprintf("%02d", i%50), "poolH", fmt.Sprintf("pool%d", i%7)).Replace(string(template))
		out.WriteString(message)
	}
	next := &ldap.ControlPaging{}
	if to < w.users {
		next.SetCookie([]byte(strconv.Itoa(to)))
	}
	controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "controls")
	controls.AppendChild(next.Encode())
	respond(recorder{&out}, id, result(ldap.ApplicationSearchResultDone, 0, ""), controls)
	_, _ = c.Write(out.Bytes())
}

// A hundred thousand users fit into bounded memory, from the wire to the fact that checks read, with its record. The test
// is alone in its process: parallel ones wait for it.
func TestAHundredThousandUsersInBoundedMemory(t *testing.T) {
	const users, bound = manyUsers, 200 << 20
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	w := &crowd{users: users}
	o := newPKI(t).options(dc1+":3268="+listen(t, w.handle), dc1+":3269="+closedPort(t))
	o.Scope.AllowCleartext = true
	g := newRig(t, t.Context(), o)
	g.env.Budgets.Exchange = 30 * time.Second // of a page, on a busy machine
	table, err := facts.Users.Get(g.reader(), facts.UsersQuestion{DC: dc1 + ":3268"})
	close(done)
	<-ended
	if err != nil || len(table.Users) != users || len(table.Parents) != 50 || len(table.Homes) != 7 || w.pages != users/1000 {
		t.Fatalf("%d users, %d parents, %d homes in %d pages, %v", len(table.Users), len(table.Parents), len(table.Homes), w.pages, err)
	}
	if u := table.Users[4711]; u.Account != "user004711" || table.DN(u) != "CN=user004711,OU=unit11,DC=todorovic,DC=adds" || u.URI != "sip:user004711@todorovic.fr" ||
		!strings.Contains(table.Homes[u.Home], "CN=pool0,") || u.Enabled == nil || !*u.Enabled || u.Expires != 0 || !u.Person {
		t.Errorf("%+v", u)
	}
	grown := peak.Load() - before.HeapInuse
	t.Logf("the heap grew by %d MiB at most", grown>>20)
	if grown > bound {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}
