package patch

import (
	"testing"

	"ocsdoctor/checks/checktest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Run(t, Checks())
}
