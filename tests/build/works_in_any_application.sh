#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds an application against the libraries $3 (static) and $4 (shared), which no sanitizer has
# seen, in a way of linking and with each sanitizer, and runs it: works_in_any_application.sh
# SOURCE_ROOT CXX STATIC SHARED SANITIZE KIND, where KIND is static, thread, address or undefined.
set -euo pipefail
root=$1 cxx=$2 static=$3 shared=$4 sanitize=$5 kind=$6
if [[ -n "$sanitize" ]]; then
  echo "skipped: the library is sanitized here itself"
  exit 77
fi
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
build() {
  "$cxx" -std=c++20 -O1 -g -Wall -Wextra -Werror -I"$root" "$root/tests/build/contended_application.cc" \
    "$@" -o "$directory/application"
}
if [[ "$kind" == static ]]; then
  build "$static" -static
  if readelf -l "$directory/application" | grep -q INTERP; then
    echo "not static"
    exit 1
  fi
  "$directory/application"
  exit
fi
for library in "$static" "$shared"; do
  build "-fsanitize=$kind" -fno-sanitize-recover=all "$library" "-Wl,-rpath,$(dirname "$shared")"
  "$directory/application"
done
