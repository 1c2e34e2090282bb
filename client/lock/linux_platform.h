// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_LOCK_LINUX_PLATFORM_H_
#define LOCKHOST_CLIENT_LOCK_LINUX_PLATFORM_H_

#include "client/lock/platform.h"

namespace lockhost::lock {

// The platform of ordinary Linux processes: private futexes, rseq, CLOCK_MONOTONIC.
// Ignores the context. Thread-safe; keeps errno.
extern const lockhost_platform kLinuxPlatform;

// The same for locks in memory that processes share: nobody sleeps for longer than 50 ms.
extern const lockhost_platform kSharedPlatform;

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_LINUX_PLATFORM_H_
