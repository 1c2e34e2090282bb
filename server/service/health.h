// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_HEALTH_H_
#define LOCKHOST_SERVER_SERVICE_HEALTH_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/service/call_tag.h"

namespace lockhost::server {

// grpc.health.v1.Health (Check and Watch) of one server, and UNIMPLEMENTED for every
// method that nobody serves. gRPC's own health service is built on the callback API,
// whose two threads wake up several times a second for nothing.
//
// The queue's thread runs it; StopServing() is thread-safe. Must outlive the queue's
// last tag.
class HealthService {
 public:
  // Known are "" and `service_names`. Asks for the first call.
  HealthService(grpc::AsyncGenericService* calls, grpc::ServerCompletionQueue* queue,
                std::vector<std::string> service_names);
  ~HealthService();
  HealthService(const HealthService&) = delete;
  HealthService& operator=(const HealthService&) = delete;

  // All answer NOT_SERVING from now on; who watches is told at the next Look().
  void StopServing() { serving_ = false; }
  void Look();
  // No operation is begun any more.
  void Close() { closed_ = true; }

 private:
  class Call;
  void AcceptNext();
  bool Knows(const std::string& service) const {
    return service.empty() ||
           std::find(service_names_.begin(), service_names_.end(), service) != service_names_.end();
  }

  grpc::AsyncGenericService* const calls_;
  grpc::ServerCompletionQueue* const queue_;
  const std::vector<std::string> service_names_;
  std::atomic<bool> serving_{true};
  bool closed_ = false;
  bool told_serving_ = true;  // the queue's thread's, as is all below
  std::set<Call*> watching_;
};

// The two messages of grpc.health.v1, by hand: one field each.
// Name of the service asked for; nullopt if the bytes are no HealthCheckRequest.
std::optional<std::string> ParseHealthCheckRequest(const std::string& bytes);
enum class HealthState : char { kServing = 1, kNotServing = 2, kServiceUnknown = 3 };
std::string HealthCheckResponse(HealthState state);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_HEALTH_H_
