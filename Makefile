# SPDX-License-Identifier: Apache-2.0
# The user's commands; the build itself is CMake's (CMakePresets.json).

PREFIX ?= /usr
DEMO_FLAGS ?=
BENCH_FLAGS ?=
CTEST_FLAGS ?=
FUZZ_SECONDS ?= 300

.PHONY: help demo test test-long fuzz bench bench-agent bench-boost bench-locks bench-service install clean deps deps-long deps-bench
.DEFAULT_GOAL := help

help:
	@echo "make demo       real KVM vCPUs, seven locks, one table; 5 minutes after the build"
	@echo "make test       build (debug) and run the tests"
	@echo "make test-long  the tests that take minutes, and fuzz"
	@echo "make fuzz       libFuzzer on every parser of foreign bytes, FUZZ_SECONDS ($(FUZZ_SECONDS)) each"
	@echo "make bench      the demo's grid with more and longer runs (half an hour)"
	@echo "make bench-agent  what the agent costs, as root; 2 minutes; build/bench/agent.json"
	@echo "make bench-boost  what it changes to run preempted lock holders at once, as root; 15 minutes; build/bench/boost.json"
	@echo "make bench-service  what the hint service takes and costs, as root; 4 minutes; build/bench/service.json"
	@echo "make bench-locks  the lock beside sixteen others, as root on real vCPUs too; 20 minutes; build/bench/locks.json, locks-*.png"
	@echo "make install    build and install below PREFIX ($(PREFIX)); DESTDIR is honoured"
	@echo "make clean      remove build/"

deps:
	@deploy/install-build-deps.sh

deps-long:
	@deploy/install-build-deps.sh --long

deps-bench:
	@deploy/install-build-deps.sh --bench

build/%/build.ninja: | deps
	@cmake --preset $* >/dev/null

demo: deps build/release/build.ninja
	@cmake --build build/release --target lockhost-demo
	@build/release/tests/lab/lockhost-demo --json=build/demo.json $(DEMO_FLAGS)

test: deps build/dev/build.ninja
	@cmake --build build/dev
	@ctest --test-dir build/dev --output-on-failure --label-exclude long $(CTEST_FLAGS)
	@ctest --test-dir build/dev --label-exclude long -N | tail -n 1

# Not packaged by Debian, and needed by one test alone, which is skipped without it.
build/npm/node_modules: | deps-long
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix build/npm \
	  @grpc/grpc-js@1 @grpc/proto-loader@0.8 || \
	  echo "lockhost: npm does not give @grpc/grpc-js; the test with it is skipped"

test-long: deps-long build/dev/build.ninja build/npm/node_modules
	@cmake --build build/dev
	@ctest --test-dir build/dev --output-on-failure --label-regex long $(CTEST_FLAGS)
	@ctest --test-dir build/dev --label-regex long -N | tail -n 1
	@$(MAKE) --no-print-directory fuzz

fuzz: deps-long build/fuzz/build.ninja
	@cmake --build build/fuzz --target lockhost_fuzzers
	@tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS)

bench: deps build/release/build.ninja
	@cmake --build build/release --target lockhost-demo
	@build/release/tests/lab/lockhost-demo --json=build/bench.json --runs=10 --seconds=3 $(DEMO_FLAGS)

bench-agent: deps build/release/build.ninja
	@cmake --build build/release --target lockhost-bench-agent
	@mkdir -p build/bench
	@build/release/tests/bench/agent/lockhost-bench-agent --json=build/bench/agent.json $(BENCH_FLAGS)

bench-boost: deps build/release/build.ninja
	@cmake --build build/release --target lockhost-bench-boost
	@mkdir -p build/bench
	@build/release/tests/bench/boost/lockhost-bench-boost --json=build/bench/boost.json $(BENCH_FLAGS)

bench-service: deps build/release/build.ninja
	@cmake --build build/release --target lockhost-bench-service
	@mkdir -p build/bench
	@build/release/tests/bench/service/lockhost-bench-service --json=build/bench/service.json $(BENCH_FLAGS)

# Configured anew: the peers' packages may not have been there before.
bench-locks: deps-bench build/release/build.ninja
	@cmake --preset release >/dev/null
	@cmake --build build/release --target lockhost-bench-locks
	@mkdir -p build/bench && rm -f build/bench/locks-*.gp build/bench/locks-*.png
	@build/release/tests/bench/locks/lockhost-bench-locks --json=build/bench/locks.json --plots=build/bench $(BENCH_FLAGS)
	@cd build/bench && for script in locks-*.gp; do [ ! -e "$$script" ] || gnuplot "$$script"; done

install: deps build/release/build.ninja
	@cmake --build build/release
	@cmake --install build/release --prefix "$(PREFIX)"

clean:
	@cmake -E rm -rf build
