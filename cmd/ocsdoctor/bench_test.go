package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
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
		chain += longestChain(store)
		l.Close()
		b.StartTimer()
	}
	b.ReportMetric(float64(chain.Milliseconds())/float64(b.N), "chain-ms")
	b.ReportMetric(float64(wall)/float64(chain), "x-chain")
}

// longestChain adds up the time on the wire along the facts that need each other.
func longestChain(store *evidence.Store) time.Duration {
	took, needs := map[evidence.Key]time.Duration{}, map[evidence.Key][]evidence.Key{}
	for _, r := range store.Records() {
		took[r.Key] = r.Took
		for k := range store.Lineage(r.Needs) {
			needs[r.Key] = append(needs[r.Key], k)
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
