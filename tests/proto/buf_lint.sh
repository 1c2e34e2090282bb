#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lints the protocol with buf where it is installed (npm: @bufbuild/buf).
set -eu
if ! command -v buf >/dev/null 2>&1; then
  echo "skipped: buf is not installed"
  exit 77
fi
cd "$1"
exec buf lint
