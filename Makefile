# Tandem: build, test, demonstrate. `make help` lists what there is.
#
# One cargo profile for everything, so that dependencies (RocksDB above all) are compiled once; what
# is compiled is kept outside the checkout.

export CARGO_TARGET_DIR ?= $(HOME)/.cache/tandem/target
TESTNET := $(CARGO_TARGET_DIR)/release/tandem-testnet
DEMO_DIR ?= $(or $(TMPDIR),/tmp)/tandem-demo
# What RocksDB's build needs besides a Rust toolchain: a C++ compiler and libclang.
BUILD_PACKAGES := g++ clang libclang-dev
# What clients and browser of `make test` need, and the tests of the sink; Node.js and npm may be there by other means.
TEST_PACKAGES := chromium curl jq openssl postgresql $(shell which node npm > /dev/null 2>&1 || echo nodejs npm)

# Where cargo-deb is put when there is none.
TOOLS := $(CARGO_TARGET_DIR)/tools
CARGO_DEB_VERSION := 3.8.0

.PHONY: help setup setup-build build deb demo demo-down story chaos bench sim planted mutants fuzz test lint

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

# Installs those Debian packages of $(1) that are missing, as root or by sudo.
define install
	@missing=; \
	for package in $(1); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' \
	    || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
	  echo "installing$$missing"; \
	  $$as_root apt-get update -q && \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	fi
endef

# Tests start PostgreSQL servers of their own: the package is not to make and start one.
setup: setup-build ## Install missing Debian packages (as root, or by sudo)
	$(call install,postgresql-common)
	@dpkg-query -W -f '$${Status}' postgresql 2>/dev/null | grep -q 'ok installed' || { \
	  as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
	  $$as_root sed -ri 's/^#?create_main_cluster.*/create_main_cluster = false/' \
	    /etc/postgresql-common/createcluster.conf; \
	}
	$(call install,$(TEST_PACKAGES))

setup-build: ## Only those that a build needs
	$(call install,$(BUILD_PACKAGES))

build: setup-build ## Build the programs tandem and tandem-testnet
	cargo build --locked --release --bins

deb: build ## Build a Debian package of tandem, its unit, man pages and completions
	@PATH="$(TOOLS)/bin:$$PATH" command -v cargo-deb >/dev/null || \
	  cargo install --locked --version $(CARGO_DEB_VERSION) --root $(TOOLS) cargo-deb
	cli/packaging/debian/stage $(CARGO_TARGET_DIR)/release
	PATH="$(TOOLS)/bin:$$PATH" cargo deb --manifest-path cli/Cargo.toml --no-build --strip

demo: build ## Play a network for a person and leave it up; with ONCE=1 end it
ifeq ($(ONCE),1)
	$(TESTNET) story tour
else
	@$(TESTNET) down --wipe --dir $(DEMO_DIR) 2>/dev/null || true
	$(TESTNET) story tour --leave-up --dir $(DEMO_DIR)
endif

demo-down: ## End the network that demo left up
	$(TESTNET) down --wipe --dir $(DEMO_DIR)

story: build ## Play the story NAME (more options in ARGS), or list all
	$(TESTNET) story $(or $(NAME),--list) $(ARGS)

chaos: build ## Strike real nodes with random faults under load; MINUTES= SEED=, more in ARGS
	$(TESTNET) chaos --minutes $(or $(MINUTES),2) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: build ## Measure a network on this machine; options in ARGS
	$(TESTNET) bench $(ARGS)

sim: build ## Live through the simulator's histories; SEEDS=A..B
	$(TESTNET) sim --seeds $(or $(SEEDS),0..1000)

planted: build ## Plant deliberate faults, one by one, and have the simulator find them
	testnet/planted/run.sh

mutants: ## Change replica and switch module place by place: the tests must notice; options in ARGS
	testnet/mutants/run.sh $(ARGS)

fuzz: setup-build ## Fuzz what reads foreign bytes; SECS=60 for each, JOBS at a time; TARGETS names some
	testnet/fuzz/run.sh $(TARGETS)

# Without `build`: the tests' build makes the same programs, with what their own dependencies ask of others.
test: setup ## All tests, clients that are not ours, the explorer in a browser, and all stories in short
	cargo test --locked --release --workspace
	testnet/clients/run.sh
	testnet/explorer/run.sh
	$(TESTNET) story --all --short

lint: ## Formatting and clippy
	cargo fmt --all --check
	cargo fmt --check --manifest-path testnet/fuzz/Cargo.toml
	cargo clippy --locked --release --workspace --all-targets -- -D warnings
