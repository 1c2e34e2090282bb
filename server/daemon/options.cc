// SPDX-License-Identifier: Apache-2.0
#include "server/daemon/options.h"

#include <sys/socket.h>

#include <memory>
#include <utility>

#include "server/tls/certificate_names.h"

namespace lockhost::server {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

ConnectionLimits ConnectionLimitsFrom(const Config& config) {
  ConnectionLimits limits;
  limits.connections = config.connections();
  limits.accepts_per_second = config.accepts_per_second();
  limits.accept_burst = config.accept_burst();
  limits.silence_ns = config.silence_ms() * kNsPerMs;
  limits.bytes_per_second = config.bytes_per_second();
  limits.byte_burst = config.byte_burst();
  limits.frames_per_second = config.frames_per_second();
  limits.frame_burst = config.frame_burst();
  limits.calls_per_second = config.calls_per_second();
  limits.call_burst = config.call_burst();
  limits.header_block_bytes = config.header_block_bytes();
  return limits;
}

// The rules keep all of them within an int.
GrpcLimits GrpcLimitsFrom(const Config& config) {
  GrpcLimits limits;
  limits.connection_streams = static_cast<int>(config.connection_streams());
  limits.message_bytes = static_cast<int>(config.message_bytes());
  limits.metadata_bytes = static_cast<int>(config.metadata_bytes());
  limits.memory_bytes = config.memory_bytes();
  limits.idle_ms = static_cast<int>(config.idle_ms());
  limits.age_ms = static_cast<int>(config.age_ms());
  limits.keepalive_ms = static_cast<int>(config.keepalive_ms());
  limits.keepalive_timeout_ms = static_cast<int>(config.keepalive_timeout_ms());
  limits.least_ping_interval_ms = static_cast<int>(config.least_ping_interval_ms());
  return limits;
}

TlsOptions TlsOptionsFrom(const Config& config) {
  const Tls& tls = config.tls();
  TlsOptions options;
  options.address = tls.address();
  options.files = {tls.certificate_file(), tls.key_file(), tls.client_ca_file(),
                   tls.client_crl_file()};
  for (const TlsGuest& guest : tls.guest()) {
    options.guests.push_back({CanonicalName(guest.certificate_name()), guest.vm()});
  }
  options.limits = {.accepts_per_second = config.tls_accepts_per_second(),
                    .accept_burst = config.tls_accept_burst(),
                    .address_accepts_per_second = config.tls_address_accepts_per_second(),
                    .address_accept_burst = config.tls_address_accept_burst(),
                    .handshakes = config.tls_handshakes(),
                    .handshake_ns = config.tls_handshake_ms() * kNsPerMs};
  return options;
}

// A socket can be adopted once; a function of this type can be copied.
Daemon::Listen Adopting(UniqueFd socket, int family) {
  return [fd = std::make_shared<UniqueFd>(std::move(socket)), family] {
    return Listener::Adopt(std::move(*fd), family);
  };
}

}  // namespace

Daemon::Options OptionsFrom(const Config& config) {
  Daemon::Options options;
  options.agent_socket = config.agent_socket();
  options.run_dir = config.run_dir();
  options.socket_mode = *ParseMode(config.socket_mode());
  options.admin_group = config.admin_group();
  options.metrics_address = config.metrics_address();
  options.publisher.timing = {.lease_ns = config.lease_ms() * kNsPerMs,
                              .heartbeat_ns = config.heartbeat_ms() * kNsPerMs,
                              .heartbeat_slack_ns = config.heartbeat_ms() * kNsPerMs / 5};
  options.publisher.poll_interval_ns = config.poll_interval_ms() * kNsPerMs;
  options.drain_ns = config.drain_ms() * kNsPerMs;
  options.vm.socket_mode = options.socket_mode;
  options.vm.max_streams = config.max_streams();
  options.vm.connections = ConnectionLimitsFrom(config);
  options.vm.grpc = GrpcLimitsFrom(config);
  for (const HybridVsock& hybrid : config.hybrid_vsock()) {
    options.hybrid_sockets.push_back({hybrid.vm(), hybrid.path()});
  }
  options.tls = TlsOptionsFrom(config);
  if (const uint32_t port = config.vsock_port(); port != 0) {
    options.listen_vsock = [port] { return Listener::OpenVsock(port); };
  }
  return options;
}

void UseInherited(InheritedSockets sockets, Daemon::Options* options) {
  if (sockets.admin.valid()) options->listen_admin = Adopting(std::move(sockets.admin), AF_UNIX);
  if (sockets.vsock.valid()) options->listen_vsock = Adopting(std::move(sockets.vsock), AF_VSOCK);
}

}  // namespace lockhost::server
