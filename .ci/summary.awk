# Shortens the output of "go test -v": one line for each package, all output of one that failed, all of it
# with verbose=1; ends with how many tests passed, failed and were skipped.
/^ *--- PASS:/ { pass++ }
/^ *--- FAIL:/ { fail++ }
/^ *--- SKIP:/ { skip++ }
verbose { print; fflush(); next }
/^(ok  |\?   )\t?/ { print; fflush(); held = ""; next }
/^FAIL\t/ { printf "%s%s\n", held, $0; fflush(); held = ""; next }
/\[no test files\]$/ { held = ""; next }
{ held = held $0 "\n" }
END {
	if (!verbose) printf "%s", held
	printf "%s: %d tests passed, %d failed, %d skipped\n", suite, pass, fail, skip
}
