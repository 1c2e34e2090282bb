#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that building, testing and the demo need, if they are
# missing; says which. Without root it prints the one command that does it, and fails.
# With --long, also those of the tests that boot a Linux guest, libFuzzer, and the independent
# clients' Node and h2load; with --bench, those of the locks that ours is compared with, and gnuplot.
set -euo pipefail

packages=(
  # compilers and build tools
  make cmake ninja-build g++ binutils pkg-config
  # BPF objects and their skeletons
  clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev
  # libraries
  libabsl-dev libprotobuf-dev protobuf-compiler libgrpc++-dev protobuf-compiler-grpc
  prometheus-cpp-dev libspdlog-dev libsystemd-dev libssl-dev
  # tests: GoogleTest, promtool (in prometheus), systemd-analyze, the units' system call
  # filters, formatting and lint
  libgtest-dev libgmock-dev nlohmann-json3-dev prometheus systemd libseccomp-dev clang-format
  clang-tidy
)
if [[ ${1:-} == --long ]]; then
  packages+=(qemu-system-x86 linux-image-cloud-amd64 busybox-static cpio libclang-rt-dev
             nghttp2-client)
  # Node may be somebody else's package, which may bring npm along, and is then left alone.
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
fi
if [[ ${1:-} == --bench ]]; then
  packages+=(libtbb-dev libck-dev gnuplot-nox)
fi

if ! command -v dpkg-query >/dev/null; then
  echo "lockhost: this is not a Debian system; install the likes of: ${packages[*]}" >&2
  exit 1
fi

is_installed() {
  [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if [[ $EUID -ne 0 ]]; then
  echo "lockhost: packages are missing; as root, run:" >&2
  echo "  ${install[*]}" >&2
  exit 1
fi

echo "lockhost: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${install[@]}" || { apt-get update && "${install[@]}"; }

# Only promtool is wanted of that package, not a monitoring server on this machine.
for package in "${missing[@]}"; do
  if [[ $package == prometheus && -d /run/systemd/system ]]; then
    echo "lockhost: prometheus.service came with promtool; it is stopped and disabled"
    systemctl disable --now prometheus.service || true
  fi
done
