// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_CONNECTION_GATE_H_
#define LOCKHOST_SERVER_SERVICE_CONNECTION_GATE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "common/token_bucket.h"
#include "common/unique_fd.h"
#include "server/directory/connection_counters.h"
#include "server/service/limits.h"
#include "server/service/relay.h"

namespace lockhost::server {

// Waits for descriptors on a gate's behalf. Unwatch() is called before they are closed.
class ConnectionWatcher {
 public:
  // Tells when `peer_fd` can be read or was hung up, and when gRPC has written to `pipe_fd`.
  virtual absl::Status Watch(int peer_fd, int pipe_fd) = 0;
  virtual void Unwatch(int peer_fd, int pipe_fd) = 0;
  // Tells when `peer_fd` can be written too. Thread-safe.
  virtual void WaitWritable(int peer_fd, bool wait) = 0;

 protected:
  ~ConnectionWatcher() = default;
};

// The connections of one server, from accept to close, of any socket family: how many, how
// fast, how long silent, and by a Relay each what they send. Thread-safe.
class ConnectionGate {
 public:
  // `counters` and `watcher` outlive the gate; the watcher must not call it.
  ConnectionGate(const ConnectionLimits& limits, ConnectionCounters* counters,
                 ConnectionWatcher* watcher);
  ~ConnectionGate() { Clear(); }
  ConnectionGate(const ConnectionGate&) = delete;
  ConnectionGate& operator=(const ConnectionGate&) = delete;

  // For what happens from now on; connections above a lower bound stay.
  void SetLimits(const ConnectionLimits& limits);

  // When the next connection may be accepted (ns); may be in the past.
  uint64_t AcceptableAtNs() const;
  // Takes a fresh connection. False: refused, and closed.
  bool Admit(std::unique_ptr<PeerStream> connection, uint64_t now_ns);

  // The peer of connection `peer_fd` has sent something, takes more, or was hung up. Returns
  // gRPC's end of the connection, once for each; else an invalid one.
  UniqueFd OnPeer(int peer_fd, bool hung_up, uint64_t now_ns);
  // gRPC has written into the connection of `pipe_fd`, or closed it.
  void OnGrpc(int pipe_fd);

  // Goes on with the connections that had more to say. Returns what became ready for gRPC.
  std::vector<UniqueFd> Continue(uint64_t now_ns);
  // When to call Continue() (ns), UINT64_MAX: no need.
  uint64_t deadline_ns() const;

  // The connection that gRPC has as `grpc_fd`, or null. After the connection's end the number
  // may be another one's, of the same peer.
  std::shared_ptr<Relay> Find(int grpc_fd) const;
  size_t open() const;
  // gRPC has read all that it was given of all connections.
  bool HasTakenIn() const;
  // Closes all, having sent what gRPC has written so far.
  void Clear();

 private:
  struct Connection {
    std::shared_ptr<Relay> relay;
    uint64_t silent_until_ns;  // UINT64_MAX: has called
    bool more = false;         // has more to say
  };
  using At = std::vector<Connection>::iterator;

  UniqueFd TakeIn(At connection, uint64_t now_ns);
  void Refuse(At connection, Refusal why);
  void Close(At connection);

  ConnectionCounters* const counters_;
  ConnectionWatcher* const watcher_;
  mutable std::mutex mutex_;  // guards all below
  ConnectionLimits limits_;
  TokenBucket accepts_;
  FrameBudget budget_;
  std::vector<Connection> open_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_CONNECTION_GATE_H_
