// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_HOST_PIPE_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_HOST_PIPE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::guest_agent {

// The path that a gRPC target names as a unix socket ("unix:/path", "unix:///path"); else empty.
std::string UnixPathOf(const std::string& target);

// A connection to the host between its socket and a socket pair whose other end is gRPC's, so
// that what the host says can be read before gRPC does, and gRPC be given it in portions.
//
// One thread receives and gives; any thread sends on what it made gRPC write.
class HostPipe {
 public:
  // Does not wait for a host that does not accept. Errors: what connect() says.
  static absl::StatusOr<std::unique_ptr<HostPipe>> Connect(const std::string& path);

  // gRPC's end, once.
  UniqueFd TakeGrpcEnd() { return std::move(grpc_end_); }

  // Sleeps until the host says something, for two seconds at most, and keeps it for gRPC. Good
  // until the next call. Empty: nothing came.
  std::string_view Receive();
  // The host has closed, or Hang() was called: gRPC has been told.
  bool over() const { return over_; }

  // How much is kept for gRPC.
  size_t kept() const { return kept_.size(); }
  // Gives gRPC what is kept, as far as it takes it.
  void Give();
  // gRPC has read what it was given, and nothing is kept.
  bool HasTakenIn() const;

  // From gRPC to the host, as far as that takes it. Thread-safe.
  void SendOut();
  // Receive() returns, and the connection is over. Thread-safe.
  void Hang();

 private:
  HostPipe(UniqueFd host, UniqueFd pipe, UniqueFd grpc_end);

  const UniqueFd host_, pipe_;
  UniqueFd grpc_end_;
  std::array<char, 16 * 1024> portion_;
  std::string kept_;
  bool over_ = false;
  std::mutex mutex_;
  std::string unsent_;  // guarded by mutex_; at most one portion
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_HOST_PIPE_H_
