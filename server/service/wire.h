// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_WIRE_H_
#define LOCKHOST_SERVER_SERVICE_WIRE_H_

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/unique_fd.h"
#include "server/service/call_tag.h"

namespace lockhost::server {

// One server on the wire. Called by the wire's thread alone.
class WireServer {
 public:
  virtual grpc::ServerCompletionQueue* queue() = 0;
  virtual int listener_fd() const = 0;
  // Hands the listener's next connection to gRPC, which closes it some day. Returns its
  // descriptor, -1 when there is no more. Must not call the wire.
  virtual int Accept() = 0;
  // Connections that may be open; no fewer than are.
  virtual size_t connections() const = 0;
  // Whatever else there is to do; called after each look at the queue.
  virtual void Look() = 0;
  // Shuts the queue down. From then on no call may begin an operation: gRPC would abort.
  virtual void Close() = 0;

 protected:
  ~WireServer() = default;
};

// The one thread that reads from guests, for all servers.
//
// gRPC is used as a passive library: no thread ever sleeps in it. One that does is woken
// not only by bytes that have come, but each time the peer has read some (a unix
// socket then wakes its writer's poller), and once more for the flow-control update that
// the peer answers every message with: three wake-ups for each hint sent, and with
// several such threads each hands the work to the next. So this thread sleeps on the
// sockets by itself, for reading alone, then lets gRPC look, and afterwards sleeps for
// kPaceNs whatever happens. That bounds the wake-ups that guests can cause, and by how
// much a report may be late.
class Wire {
 public:
  static constexpr uint64_t kPaceNs = 5'000'000;

  // `look_ns`: looks at least this often, UINT64_MAX for no such bound. Needed only where
  // other threads of the process sleep in gRPC (clients, in tests): they read for us, and
  // then no socket tells.
  static absl::StatusOr<std::unique_ptr<Wire>> Start(Clock clock, uint64_t look_ns);
  // REQUIRES: every server was removed.
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // Thread-safe. `server` stays until Remove() has returned.
  absl::Status Add(WireServer* server);
  // No more connections; afterwards the queue is looked at all the time, so that what is
  // open can end.
  void StopAccepting(WireServer* server);
  // Has it closed, and waits until its queue is empty. REQUIRES: its grpc::Server was shut
  // down.
  void Remove(WireServer* server);
  // Something has changed that no socket tells of.
  void Wake();

  // Whoever calls gRPC on a connection of these servers holds it, so that no two threads
  // ever meet inside: gRPC would hand the loser's work to a thread of its own, which
  // on a full host comes to run some milliseconds later. Recursive, because a call that
  // proceeds starts the next operation.
  std::recursive_mutex& inside_grpc() { return inside_grpc_; }

  // For calls, in Proceed(): proceeds `tag` with ok = true at that time, or with false
  // when it is cancelled.
  void ProceedAt(uint64_t at_ns, CallTag* tag);
  void Cancel(CallTag* tag);
  uint64_t now_ns() const { return clock_.now_ns(); }

 private:
  struct Entry {
    WireServer* server;
    bool ending = false;  // guarded by mutex_
    bool close = false;   // guarded by mutex_
    bool closed = false;  // the thread's
    bool empty = false;   // guarded by mutex_, written by the thread: shut down and drained
  };

  Wire(Clock clock, uint64_t look_ns, UniqueFd epoll, UniqueFd wake);
  absl::Status Watch(int fd, uint32_t events);
  void Run();
  void Sleep();
  bool AcceptAndLook();
  void AcceptOrClose(Entry* entry);
  bool LookAt(Entry* entry);
  void RunTimers();
  int LeastLooks(const std::vector<std::shared_ptr<Entry>>& entries);
  std::vector<std::shared_ptr<Entry>> Entries();

  const Clock clock_;
  const uint64_t look_ns_;
  const UniqueFd epoll_;
  const UniqueFd wake_;
  std::recursive_mutex inside_grpc_;
  std::mutex mutex_;
  std::condition_variable emptied_;
  std::vector<std::shared_ptr<Entry>> entries_;  // guarded by mutex_
  bool stop_ = false;                            // guarded by mutex_
  bool hurry_ = false;                           // guarded by mutex_; a server is ending
  // The thread's own:
  std::multimap<uint64_t, CallTag*> timers_;
  uint64_t glow_ns_ = 0;  // next look though nothing tells of a reason; 0: none
  std::thread thread_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_WIRE_H_
