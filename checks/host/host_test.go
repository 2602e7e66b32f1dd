package host_test

import (
	"testing"

	"ocsdoctor/checks/checktest"
	"ocsdoctor/checks/host"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Run(t, host.Checks())
}
