// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_ASYNC_SERVER_H_
#define LOCKHOST_SERVER_SERVICE_ASYNC_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/unique_fd.h"
#include "server/directory/connection_counters.h"
#include "server/service/call_tag.h"
#include "server/service/connection_gate.h"
#include "server/service/health.h"
#include "server/service/limits.h"
#include "server/service/listener.h"
#include "server/service/wire.h"

namespace lockhost::server {

// A grpc::Server on listening sockets of its own and on connections that it is given, with
// grpc.health.v1 on it. It has no thread: the wire's runs every Proceed() of its queue's
// tags, which hence need no locks. Start(), Listen() and Shutdown() belong to the owner's
// thread.
class AsyncServer : private WireServer, private ConnectionWatcher {
 public:
  struct Options {
    std::string name;  // for gRPC's own messages
    ConnectionLimits connections;
    GrpcLimits grpc;
  };

  // `wire` and `counters` outlive the server.
  AsyncServer(const Options& options, Wire* wire, ConnectionCounters* counters);
  // Aborts what is still open.
  ~AsyncServer();
  AsyncServer(const AsyncServer&) = delete;
  AsyncServer& operator=(const AsyncServer&) = delete;

  struct Served {
    grpc::Service* service;
    std::string name;  // full
  };
  // Serves `services`, and the health of each and of "". `arm` is called once, before the
  // first completion: it asks for the first call of each method.
  absl::Status Start(const std::vector<Served>& services, const std::function<void()>& arm);
  // Whether to take a connection, by who is at its other end; the wire's thread asks.
  using Permit = std::function<bool(int fd)>;
  // Takes connections from `listener` too; null: whoever connects. REQUIRES: Start() has
  // succeeded.
  absl::Status Listen(Listener listener, Permit permit = nullptr);
  // Takes a connection that another listener accepted. The wire's thread.
  void Admit(std::unique_ptr<PeerStream> connection, uint64_t now_ns);
  // Thread-safe.
  void SetLimits(const ConnectionLimits& limits) { gate_.SetLimits(limits); }

  grpc::ServerCompletionQueue* queue() override { return queue_.get(); }
  Wire* wire() { return wire_; }
  // For calls, on the wire's thread: no operation may be begun any more.
  bool closed() const { return closed_; }
  // For calls that are written to by another thread than the wire's: that thread sends on what
  // it has made gRPC write. Null if the connection is over.
  std::shared_ptr<Relay> ConnectionOf(const grpc::ServerContextBase& call) const;

  // Health answers NOT_SERVING from now on. Thread-safe.
  void StopServing();

  // Ends: no new calls, the open ones have `grace_ms`, then they are cancelled. Blocks
  // until all are through. Calls served on other queues must be ending by themselves.
  // Idempotent. Not for the wire's thread.
  void Shutdown(int grace_ms);

 private:
  class Door;

  absl::Status Watch(int peer_fd, int pipe_fd) override;
  void Unwatch(int peer_fd, int pipe_fd) override;
  void WaitWritable(int peer_fd, bool wait) override { wire_->WaitWritable(peer_fd, wait); }
  void GiveToGrpc(UniqueFd connection);
  void OnPeer(int peer_fd, bool hung_up) override;
  void OnGrpc(int pipe_fd) override { gate_.OnGrpc(pipe_fd); }
  size_t connections() const override { return gate_.open(); }
  bool HasTakenIn() const override { return gate_.HasTakenIn(); }
  uint64_t Look(uint64_t now_ns) override;
  void Close() override;
  void Emptied() override { gate_.Clear(); }

  const Options options_;
  Wire* const wire_;
  bool closed_ = false;  // the wire's thread's
  bool taking_ = false;  // guarded by wire_->inside_grpc()
  ConnectionCounters* const counters_;
  ConnectionGate gate_;
  std::vector<std::unique_ptr<Door>> doors_;
  grpc::AsyncGenericService unknown_methods_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<HealthService> health_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_ASYNC_SERVER_H_
