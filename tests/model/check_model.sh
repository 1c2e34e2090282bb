#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs spin over the model $1 with faults off, then with each fault on, which must be found.
set -euo pipefail
model=$(realpath "$1")
if ! command -v spin >/dev/null; then
  echo "skipped: Debian's package spin is not installed"
  exit 77
fi
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"

# Prints spin's count of errors (it stops at the first).
errors_with() {
  spin -a "$@" "$model" >/dev/null
  cc -O2 -w -DSAFETY -DMEMLIM=2048 -DCOLLAPSE -o pan pan.c
  ./pan -m1000000 >pan.out
  if grep -Eq "max search depth too small|reached -DMEMLIM" pan.out; then
    echo "incomplete search: $*" >&2
    cat pan.out >&2
    return 1
  fi
  grep -E "states, stored|errors:" pan.out >&2
  sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.out
}

echo "as it is:"
[[ $(errors_with) == 0 ]] || { cat pan.out; exit 1; }
for fault in FORGETS_SLEEPERS HEIR_OUTLIVES NO_KICK GIVES_UP_SILENTLY CLAIMANT_KICKS_NOBODY MARKS_NATIVE NAPS_FOR_EVER \
  "NATIVE_OVER_SLEEPERS LOCKS=2" "GIVES_UP_UNDER_NATIVE LOCKS=3"; do
  echo "$fault:"
  read -ra defines <<<"$fault"
  [[ $(errors_with "${defines[@]/#/-D}") == 1 ]] || { echo "not found: $fault"; exit 1; }
done
