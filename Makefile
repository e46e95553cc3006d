# A front for .ci/run, where each step is written once. make help lists the targets.

BENCH ?= .
COUNT ?= 6
PKG ?= ./...

.DEFAULT_GOAL := help
.PHONY: help check test race lint vuln bench kill soak fuzz examples tidy tikvcluster tikvimages

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: ## everything that CI runs, in its order
	.ci/run

test: ## all tests
	go test ./...

race: ## all tests under the race detector
	.ci/run race

lint: ## formatting, go.mod, vet and golangci-lint
	.ci/run gofmt tidy vet lint

vuln: ## known vulnerabilities in what the module uses
	.ci/run vuln

bench: ## benchmarks, for benchstat (BENCH=regexp COUNT=6 PKG=./kv/...)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKG)

kill: ## kill processes at work on the file drivers (KILLS=200)
	.ci/run kill

soak: ## everything at once on every driver (SOAK=1m)
	.ci/run soak

fuzz: ## each fuzz target for a short while (FUZZTIME=10s)
	.ci/run fuzz

examples: ## run each example once
	.ci/run examples

tikvcluster: ## a stand-in for a TiKV cluster on loopback, until ctrl-C
	go run ./internal/tikvcluster

tikvimages: ## Docker images of the stand-in
	.ci/run standin tikvimages

tidy: ## format the code and tidy go.mod
	gofmt -w .
	go mod tidy
