// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_LIMITS_H_
#define LOCKHOST_SERVER_SERVICE_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace lockhost::server {

// What the peers of one server may do before gRPC sees any of it. The packaged gRPC has
// none of these bounds, nor the HTTP/2 repairs of 2023. May change while it serves.
// REQUIRES: nothing is 0.
struct ConnectionLimits {
  uint32_t connections = 16;
  uint32_t accepts_per_second = 16;  // beyond it a listener is left alone for a while
  uint32_t accept_burst = 32;
  uint64_t silence_ns = 10'000'000'000;  // to the first call
  // Of all connections together, so that a new one does not help.
  uint32_t bytes_per_second = 128 * 1024;
  uint32_t byte_burst = 512 * 1024;
  uint32_t frames_per_second = 1'000;
  uint32_t frame_burst = 2'000;
  uint32_t calls_per_second = 50;
  uint32_t call_burst = 100;
  uint32_t header_block_bytes = 16 * 1024;  // of one call, as they are sent

  bool operator==(const ConnectionLimits&) const = default;
};

// What gRPC itself is told when a server starts; it cannot be changed afterwards.
// REQUIRES: nothing is 0.
struct GrpcLimits {
  int connection_streams = 16;        // calls at the same time, of one connection
  int message_bytes = 64 * 1024;      // of one message
  int metadata_bytes = 8 * 1024;      // of one call's headers
  size_t memory_bytes = 8 << 20;      // for gRPC's buffers of this server
  int idle_ms = 300'000;              // a connection without any call
  int age_ms = 86'400'000;            // of a connection; then its streams end UNAVAILABLE
  int keepalive_ms = 20'000;          // silence before the peer is pinged
  int keepalive_timeout_ms = 10'000;  // for its answer
  // Pings of the peer may come this often. The guest agent's come each 10 s: both ends must
  // agree, or the guest's connection is closed for "too_many_pings".
  int least_ping_interval_ms = 5'000;

  bool operator==(const GrpcLimits&) const = default;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_LIMITS_H_
