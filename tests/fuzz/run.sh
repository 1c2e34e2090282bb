#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD SECONDS: runs every fuzzer of the build directory (preset `fuzz`), one
# after another, for so long each. What they learn stays in BUILD/found/NAME/corpus; an
# input that breaks a rule is left beside it. Fails if there was one.
set -euo pipefail

build=$1
seconds=$2
seeds=$(dirname "$0")/corpus
failed=0

for program in "$build"/tests/fuzz/*_fuzz; do
  name=$(basename "$program" _fuzz)
  work=$build/found/$name
  mkdir -p "$work/corpus"
  status=0
  nice "$program" -max_total_time="$seconds" -timeout=10 -use_value_profile=1 \
    -print_final_stats=1 -artifact_prefix="$work/" "$work/corpus" "$seeds/$name" \
    >"$work/log" 2>&1 || status=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
  if [[ $status -eq 0 ]]; then
    echo "$name: $runs executions in ${seconds} s, nothing found"
  else
    failed=1
    echo "$name: failed after ${runs:-no} executions; its input and log are in $work"
    tail -n 40 "$work/log"
  fi
done
exit $failed
