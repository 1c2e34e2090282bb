#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs to a prefix that the build never heard of, then builds and runs an application
# with nothing but what pkg-config says, and again with what find_package() finds: links_what_was_installed.sh CMAKE BUILD CXX SANITIZE
set -euo pipefail
cmake=$1 build=$2 cxx=$3 sanitize=$4
if [[ -n "$sanitize" ]]; then
  echo "skipped: a sanitized library wants its sanitizer in the application too"
  exit 77
fi
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
"$cmake" --install "$build" --prefix "$prefix" >/dev/null
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name lockhost.pc)")
cat >"$prefix/application.cc" <<'END'
#include "client/lock/spinlock.h"

#include <chrono>
#include <cstdio>
#include <mutex>

#include "client/lock/lockhost.h"
#include "client/lock/mutex.h"

int main() {
  lockhost::SpinLock lock;
  const std::lock_guard<lockhost::SpinLock> held(lock);
  lockhost::Mutex mutex;
  lockhost::CondVar never;
  std::unique_lock<lockhost::Mutex> waits(mutex);
  never.wait_for(waits, std::chrono::milliseconds(1));
  std::puts(lockhost_status_text(lockhost_status()));
  return lock.is_locked() ? 0 : 1;
}
END
read -ra flags <<<"$(pkg-config --cflags --libs lockhost)"
"$cxx" -std=c++20 -Wall -Wextra -Werror "$prefix/application.cc" "${flags[@]}" -o "$prefix/application"
LD_LIBRARY_PATH=$(pkg-config --variable=libdir lockhost) "$prefix/application"

mkdir "$prefix/project"
cat >"$prefix/project/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(application LANGUAGES CXX)
find_package(lockhost 0.1 REQUIRED)
foreach(kind IN ITEMS lockhost static)
  add_executable(with_${kind} ../application.cc)
  target_link_libraries(with_${kind} PRIVATE lockhost::${kind})
endforeach()
END
"$cmake" -S "$prefix/project" -B "$prefix/project/build" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" \
  -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
"$cmake" --build "$prefix/project/build" >/dev/null
"$prefix/project/build/with_lockhost"
"$prefix/project/build/with_static"
