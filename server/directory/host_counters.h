// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_DIRECTORY_HOST_COUNTERS_H_
#define LOCKHOST_SERVER_DIRECTORY_HOST_COUNTERS_H_

#include <atomic>
#include <cstdint>

#include "server/directory/tls_counters.h"

namespace lockhost::server {

// What is counted for lockhostd as a whole. Thread-safe.
struct HostCounters {
  std::atomic<uint64_t> reloads_applied{0};
  std::atomic<uint64_t> reloads_refused{0};
  // Connections to the admin socket of peers that may not speak there.
  std::atomic<uint64_t> admin_refused{0};
  TlsCounters tls;
  // vsock connections whose peer is no VM that we know, or could be two.
  std::atomic<uint64_t> vsock_unknown_cid{0};
  std::atomic<uint64_t> vsock_claimed_twice{0};
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_DIRECTORY_HOST_COUNTERS_H_
