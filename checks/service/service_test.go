package service_test

import (
	"testing"

	"ocsdoctor/checks/checktest"
	"ocsdoctor/checks/service"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Run(t, service.Checks())
}
