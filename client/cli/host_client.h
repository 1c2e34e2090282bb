// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_HOST_CLIENT_H_
#define LOCKHOST_CLIENT_CLI_HOST_CLIENT_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lockhost/v1/host.grpc.pb.h"

namespace lockhost::cli {

// Whether somebody listens on a unix socket. NOT_FOUND and UNAVAILABLE say which unit to
// start, PERMISSION_DENIED which group may connect.
absl::Status CheckAdminSocket(const std::string& socket);

// lockhostd's operator service. Errors are sentences for the operator.
// Not thread-safe.
class HostClient {
 public:
  // Errors: those of CheckAdminSocket(). `deadline`: of each answer.
  static absl::StatusOr<std::unique_ptr<HostClient>> Connect(const std::string& socket,
                                                             std::chrono::milliseconds deadline);

  // All pages of the list in one message.
  absl::StatusOr<v1::ListVmsResponse> ListVms(bool include_vcpus);

  // Boosts of that VM after `after_id`.
  absl::StatusOr<v1::ListBoostsResponse> ListBoosts(uint64_t vm_id, uint64_t after_id);

  // Hands each message over until `take` returns false (OK) or the stream ends (why).
  // The first message must come within the deadline, each further one within it and
  // `interval`; else DEADLINE_EXCEEDED.
  absl::Status Watch(uint64_t vm_id, std::chrono::nanoseconds interval,
                     const std::function<bool(const v1::WatchVmResponse&)>& take);

 private:
  HostClient(std::unique_ptr<v1::HostService::Stub> stub, std::chrono::milliseconds deadline)
      : stub_(std::move(stub)), deadline_(deadline) {}

  const std::unique_ptr<v1::HostService::Stub> stub_;
  const std::chrono::milliseconds deadline_;
};

}  // namespace lockhost::cli

#endif  // LOCKHOST_CLIENT_CLI_HOST_CLIENT_H_
