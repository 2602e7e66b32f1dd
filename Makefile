# Everything the project needs, one line of help each: "make help".
SHELL       := /bin/bash
.SHELLFLAGS := -o pipefail -euc
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LAB         ?= todorovic
LDFLAGS     := -s -w -X main.version=$(VERSION)
# The version is stamped; VCS stamping would fail in a checkout that belongs to somebody else.
GOBUILD     := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
PLATFORMS   := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
CROSS       := windows/amd64 darwin/arm64 linux/arm64
HERMETIC     = $$(go list ./... | grep -v '/fixtures/real$$')
LINTER      := .ci/bin/golangci-lint

.DEFAULT_GOAL := help
.PHONY: help build scan test tools lint hermetic cross real bench release clean

help: ## print this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r t h; do printf 'make %-9s %s\n' "$$t" "$$h"; done

build: ## build bin/ocsdoctor
	$(GOBUILD) -o bin/ocsdoctor ./cmd/ocsdoctor

scan: build ## scan the built-in deployment (LAB=todorovic+FAULT breaks it)
	bin/ocsdoctor scan --lab '$(LAB)'

test: ## install what is missing (as root), then lint, test, cross-build, test against real servers
	@began=$$SECONDS; \
	$(MAKE) --no-print-directory tools; \
	$(MAKE) --no-print-directory lint; \
	$(MAKE) --no-print-directory hermetic; \
	$(MAKE) --no-print-directory cross; \
	$(MAKE) --no-print-directory real; \
	echo "make test: all of it passed in $$((SECONDS - began)) s"

tools: ## install the compiler and the real servers where they are missing (Debian, as root)
	@.ci/install

lint: $(LINTER) ## gofmt, go vet and golangci-lint
	@unformatted=$$(gofmt -l cmd checks report fixtures); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(LINTER) run ./...

$(LINTER): .ci/lint/go.mod .ci/lint/go.sum
	cd .ci/lint && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

hermetic: ## the tests that need nothing but Go, with the race detector
	@go test -race -v -timeout 10m $(HERMETIC) 2>&1 | awk -v suite='hermetic suite' -f .ci/summary.awk

cross: ## build for Windows, macOS and ARM
	@for p in $(CROSS); do echo "build $$p"; GOOS=$${p%/*} GOARCH=$${p#*/} $(GOBUILD) -o /dev/null ./cmd/ocsdoctor; done

real: ## scan real servers: BIND, Samba, Kamailio, nginx, GnuTLS, OpenSSL (Linux, root)
	@OCSDOCTOR_REAL=1 go test -race -v -count=1 -timeout 10m ./fixtures/real 2>&1 | awk -v suite='real servers' -v verbose=1 -f .ci/summary.awk

bench: ## measure the scan of the built-in deployment
	go test -run '^$$' -bench . -benchmem ./cmd/ocsdoctor

release: ## static binaries for six platforms and SHA256SUMS in dist/
	rm -rf dist
	mkdir dist
	@for p in $(PLATFORMS); do \
		os=$${p%/*} arch=$${p#*/} ext=; [ $$os = windows ] && ext=.exe; \
		out=dist/ocsdoctor_$(VERSION)_$${os}_$$arch$$ext; echo "build $$out"; \
		GOOS=$$os GOARCH=$$arch $(GOBUILD) -o "$$out" ./cmd/ocsdoctor; \
	done
	cd dist && sha256sum ocsdoctor_* > SHA256SUMS

clean: ## remove what was built
	rm -rf bin dist .ci/bin
