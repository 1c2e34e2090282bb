#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the benchmark $1 where there is no /dev/kvm: the lab's rows are absent, and it says why, in
# words and in JSON.
set -euo pipefail
program=$1
if [[ $EUID -ne 0 && -w /dev/kvm ]]; then
  echo "skipped: only root can hide /dev/kvm"
  exit 77
fi
json=$(mktemp)
trap 'rm -f "$json"' EXIT
run=("$program" --quick --runs=1 --workloads=lab --json="$json")
if [[ -w /dev/kvm ]]; then
  # shellcheck disable=SC2016
  run=(unshare --mount bash -c 'mount --bind /dev/null /dev/kvm && exec "$@"' - "${run[@]}")
fi
"${run[@]}" | grep "not measured: lab: .*/dev/kvm"
grep -A 1 '"absent"' "$json" | grep '"lab": ".*/dev/kvm'
grep '"rows": \[\]' "$json"
