// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_LOCK_LINUX_PLATFORM_H_
#define LOCKHOST_CLIENT_LOCK_LINUX_PLATFORM_H_

#include "client/lock/platform.h"

namespace lockhost::lock {

// The platform of ordinary Linux processes: private futexes, rseq, CLOCK_MONOTONIC.
// Ignores the context. Thread-safe; keeps errno.
extern const lockhost_platform kLinuxPlatform;

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_LINUX_PLATFORM_H_
