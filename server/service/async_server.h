// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_ASYNC_SERVER_H_
#define LOCKHOST_SERVER_SERVICE_ASYNC_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "server/service/call_tag.h"
#include "server/service/health.h"

namespace lockhost::server {

// A grpc::Server on one unix socket with one completion queue and one thread that
// serves it; and grpc.health.v1 on it. Why not the callback API: server/README.md,
// "The wake-up trap".
//
// The thread runs every Proceed() of the queue's tags, which hence need no locks.
// Start() and Shutdown() belong to the owner's thread.
class AsyncServer {
 public:
  struct Options {
    std::string socket_path;  // a stale file there is removed
    mode_t socket_mode = 0660;
    int max_message_bytes = 64 * 1024;
    int max_connection_streams = 16;       // of one connection
    int max_connection_idle_ms = 300'000;  // without any call
    size_t memory_bytes = 8 << 20;         // for gRPC's buffers of this server
  };

  AsyncServer() = default;
  // Aborts what is still open.
  ~AsyncServer() { Shutdown(0); }
  AsyncServer(const AsyncServer&) = delete;
  AsyncServer& operator=(const AsyncServer&) = delete;

  // Serves `service` and health of "" and `health_name`. `arm` is called once, before
  // the first completion: it asks for the first call of each method.
  absl::Status Start(const Options& options, grpc::Service* service, std::string health_name,
                     const std::function<void()>& arm);

  grpc::ServerCompletionQueue* queue() { return queue_.get(); }
  // Health answers NOT_SERVING from now on. Thread-safe.
  void StopServing() { health_->StopServing(); }

  // Ends: no new calls, the open ones have `grace_ms`, then they are cancelled. Blocks
  // until the thread is through. Calls served on other queues must be ending by
  // themselves. Idempotent.
  void Shutdown(int grace_ms);

 private:
  void Serve();

  std::string socket_path_;
  grpc::AsyncGenericService unknown_methods_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<HealthService> health_;
  std::unique_ptr<grpc::Server> server_;
  std::thread thread_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_ASYNC_SERVER_H_
