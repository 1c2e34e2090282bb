#!/bin/sh
# Fails if a source below $1 includes something that matches the pattern $2.
set -eu
if grep -rnE "#include [<\"]($2)" "$1" --include='*.h' --include='*.cc' --include='*.c'; then
  echo "these includes go against the data flow"
  exit 1
fi
