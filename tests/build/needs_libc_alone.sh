#!/bin/sh
# Fails if the shared library at $1 needs anything but libc (and its loader).
# Sanitizer builds ($2) link their runtime: nothing to learn from them.
set -eu
if [ -n "${2:-}" ]; then
  echo "skipped: a sanitizer's runtime is linked in"
  exit 77
fi
needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
echo "needs: $needed"
for library in $needed; do
  case "$library" in
    libc.so.6 | ld-linux-x86-64.so.2) ;;
    *) echo "not allowed: $library"; exit 1 ;;
  esac
done
