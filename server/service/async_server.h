// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_ASYNC_SERVER_H_
#define LOCKHOST_SERVER_SERVICE_ASYNC_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "server/service/call_tag.h"
#include "server/service/health.h"
#include "server/service/unix_listener.h"
#include "server/service/wire.h"

namespace lockhost::server {

// A grpc::Server on one unix socket, with grpc.health.v1 on it. It has no thread: the
// wire's runs every Proceed() of its queue's tags, which hence need no locks.
// Start() and Shutdown() belong to the owner's thread.
class AsyncServer : private WireServer {
 public:
  struct Options {
    std::string socket_path;  // a stale file there is removed
    mode_t socket_mode = 0660;
    size_t max_connections = 16;
    int max_connection_streams = 16;  // of one connection
    int max_message_bytes = 64 * 1024;
    int max_connection_idle_ms = 300'000;  // without any call
    size_t memory_bytes = 8 << 20;         // for gRPC's buffers of this server
  };

  // `wire` outlives the server.
  explicit AsyncServer(Wire* wire) : wire_(wire) {}
  // Aborts what is still open.
  ~AsyncServer() { Shutdown(0); }
  AsyncServer(const AsyncServer&) = delete;
  AsyncServer& operator=(const AsyncServer&) = delete;

  // Serves `service` and health of "" and `health_name`. `arm` is called once, before
  // the first completion: it asks for the first call of each method.
  absl::Status Start(const Options& options, grpc::Service* service, std::string health_name,
                     const std::function<void()>& arm);

  grpc::ServerCompletionQueue* queue() override { return queue_.get(); }
  Wire* wire() { return wire_; }
  // For calls, on the wire's thread: no operation may be begun any more.
  bool closed() const { return closed_; }

  // Health answers NOT_SERVING from now on. Thread-safe.
  void StopServing();

  // Ends: no new calls, the open ones have `grace_ms`, then they are cancelled. Blocks
  // until all are through. Calls served on other queues must be ending by themselves.
  // Idempotent. Not for the wire's thread.
  void Shutdown(int grace_ms);

 private:
  int listener_fd() const override { return listener_->fd(); }
  int Accept() override;
  size_t connections() const override { return listener_->connections(); }
  void Look() override;
  void Close() override;

  Wire* const wire_;
  bool closed_ = false;  // the wire's thread's
  std::optional<UnixListener> listener_;
  grpc::AsyncGenericService unknown_methods_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<HealthService> health_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_ASYNC_SERVER_H_
