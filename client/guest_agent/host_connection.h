// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_HOST_CONNECTION_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_HOST_CONNECTION_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "client/guest_agent/host_pipe.h"
#include "client/guest_agent/tls_files.h"
#include "lockhost/v1/hints.grpc.pb.h"

namespace lockhost::guest_agent {

inline constexpr int kMaxMessageBytes = 256 * 1024;  // a snapshot of 1,024 vCPUs is below 64 KiB

// One channel to the host. Never reconnects by itself where it has a pipe.
struct HostConnection {
  // `target` is gRPC's. Reads the files, so that renewed ones are used from the next connection
  // on. UNAVAILABLE: they cannot be read, or no host accepts at the socket.
  static absl::StatusOr<std::shared_ptr<HostConnection>> Open(const std::string& target,
                                                              const TlsFiles& tls);

  // Sends on what gRPC was made to write. Thread-safe.
  void SendOut() {
    if (pipe != nullptr) pipe->SendOut();
  }

  std::unique_ptr<HostPipe> pipe;  // of a unix socket; else null: the socket is gRPC's
  // With a pipe: who calls gRPC holds it, so that two threads never meet in there; gRPC
  // would hand the work of one to a thread of its own.
  std::mutex inside;
  std::unique_ptr<v1::HintService::Stub> stub;
  grpc::ClientContext watch;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_HOST_CONNECTION_H_
