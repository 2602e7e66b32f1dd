package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/fixtures/lab"
)

// roundTrip is what the lab's servers add to each round trip in the benchmark.
const roundTrip = 20 * time.Millisecond

// BenchmarkScan scans the lab over slow links. x-chain is the scan's time as a multiple of its longest chain
// of facts that wait for each other; 1 would be a scan in which nothing waits for anything else.
func BenchmarkScan(b *testing.B) {
	var wall, chain time.Duration
	for b.Loop() {
		b.StopTimer()
		l := startLab(b, "todorovic", lab.Options{RoundTrip: roundTrip})
		b.StartTimer()
		start := time.Now()
		store, _ := labScan(b, l)
		wall += time.Since(start)
		b.StopTimer()
		chain += longestChain(b, store)
		l.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(chain.Milliseconds())/float64(b.N), "chain-ms")
	b.ReportMetric(float64(wall)/float64(chain), "x-chain")
}

// longestChain adds up the time on the wire along the facts that need each other. A search whose base an earlier search
// returned needs that one, which no record says.
func longestChain(b *testing.B, store *evidence.Store) time.Duration {
	took, needs := map[evidence.Key]time.Duration{}, map[evidence.Key][]evidence.Key{}
	records := store.Records()
	for _, r := range records {
		took[r.Key], needs[r.Key] = r.Took, r.Needs
		for _, earlier := range records {
			if r.Key.Kind == facts.Search.Name && earlier.Key.Kind == facts.Search.Name && earlier != r && returned(b, earlier, r) {
				needs[r.Key] = append(slices.Clone(needs[r.Key]), earlier.Key)
			}
		}
	}
	memo := map[evidence.Key]time.Duration{}
	var longest func(k evidence.Key) time.Duration
	longest = func(k evidence.Key) time.Duration {
		if d, ok := memo[k]; ok {
			return d
		}
		var before time.Duration
		for _, n := range needs[k] {
			if n != k {
				before = max(before, longest(n))
			}
		}
		memo[k] = before + took[k]
		return memo[k]
	}
	var d time.Duration
	for k := range took {
		d = max(d, longest(k))
	}
	return d
}

// BenchmarkVersion starts the program: the time and memory that every call costs.
func BenchmarkVersion(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "ocsdoctor")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	var peak int64
	for b.Loop() {
		cmd := exec.Command(bin, "version")
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		peak = max(peak, peakMemory(cmd.ProcessState))
	}
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}

// returned tells whether a search had ended before another began and brought a name that the other's question holds.
func returned(b *testing.B, earlier, later *evidence.Record) bool {
	if earlier.At.Add(earlier.Took).After(later.At) {
		return false
	}
	var res facts.SearchResult
	if err := json.Unmarshal(earlier.Value, &res); err != nil {
		b.Fatal(err)
	}
	for _, e := range res.Entries {
		names := []string{e.DN}
		for _, v := range e.Values("msRTCSIP-FrontEndServers") {
			names = append(names, strings.TrimPrefix(string(v), "CN=RTC Services,CN=Microsoft,"))
		}
		for _, n := range names {
			if strings.Contains(later.Key.Query, n) {
				return true
			}
		}
	}
	return false
}
