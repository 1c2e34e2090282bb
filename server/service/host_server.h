// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_HOST_SERVER_H_
#define LOCKHOST_SERVER_SERVICE_HOST_SERVER_H_

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "lockhost/v1/host.grpc.pb.h"
#include "server/directory/host_counters.h"
#include "server/directory/vm_directory.h"
#include "server/service/admin_access.h"
#include "server/service/async_server.h"
#include "server/service/reflection.h"

namespace lockhost::server {

// HostService, reflection and health on the admin socket, for the operator.
class HostServer {
 public:
  // Serves those on `listener`, a unix socket, whom `access` admits. The pointers outlive the
  // server.
  static absl::StatusOr<std::unique_ptr<HostServer>> Start(Listener listener,
                                                           const AdminAccess& access,
                                                           HostCounters* counters,
                                                           const VmDirectory* directory, Wire* wire,
                                                           Clock clock);
  ~HostServer();

  // Health answers NOT_SERVING, and WatchVm streams end at their next message.
  void StopServing();

 private:
  template <typename Request, typename Response>
  class UnaryCall;
  class WatchCall;
  static constexpr uint32_t kMaxWatches = 64;

  HostServer(const VmDirectory* directory, Wire* wire, Clock clock);

  const VmDirectory* const directory_;
  const Clock clock_;
  std::atomic<bool> draining_{false};
  uint32_t watches_ = 0;  // the wire's thread's
  v1::HostService::AsyncService service_;
  ConnectionCounters connections_;
  AsyncServer server_;
  Reflection reflection_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_HOST_SERVER_H_
