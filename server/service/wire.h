// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_WIRE_H_
#define LOCKHOST_SERVER_SERVICE_WIRE_H_

#include <grpcpp/grpcpp.h>
#include <sys/epoll.h>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/token_bucket.h"
#include "common/unique_fd.h"
#include "server/service/accept_loop.h"
#include "server/service/call_tag.h"
#include "server/service/inheriting_mutex.h"

namespace lockhost::server {

// One server on the wire. Called by the wire's thread alone.
class WireServer {
 public:
  virtual grpc::ServerCompletionQueue* queue() = 0;
  // A peer that was given to WatchConnection() has sent something, takes more, or was hung up.
  virtual void OnPeer(int peer_fd, bool hung_up) = 0;
  // gRPC has written to such a connection, or closed it.
  virtual void OnGrpc(int pipe_fd) = 0;
  // Connections that are open.
  virtual size_t connections() const = 0;
  // gRPC has read all that came from the peers.
  virtual bool HasTakenIn() const = 0;
  // Whatever else there is to do; called after each look at the queue, and at the time
  // that it returns (ns), UINT64_MAX for none.
  virtual uint64_t Look(uint64_t now_ns) = 0;
  // Shuts the queue down. From then on no call may begin an operation: gRPC would abort.
  virtual void Close() = 0;
  // The queue is empty: lets go of the connections.
  virtual void Emptied() = 0;

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
// peers' sockets by itself, for reading alone, hands what came to gRPC (service/relay.h), and
// lets it look. Looks are bounded, and with them the wake-ups that guests can cause: when they
// are used up it sleeps whatever happens. A report that comes after some rest is read at once; it
// may be the one that asks for a preempted holder. A round in which no call has moved was about
// flow-control updates alone, and counts for several.
//
// A look costs a system call, and with many guests few have said anything: only the queues of
// those are looked at, and a share of the others in turn, should something have completed there
// by a timer of gRPC's.
class Wire {
 public:
  static constexpr uint32_t kLooksPerSecond = 1'000;
  static constexpr uint32_t kLooksAtOnce = 16;

  // `look_ns`: looks at least this often, UINT64_MAX for no such bound. Needed only where
  // other threads of the process sleep in gRPC (clients, in tests): they read for us, and
  // then no socket tells.
  static absl::StatusOr<std::unique_ptr<Wire>> Start(Clock clock, uint64_t look_ns,
                                                     uint32_t looks_per_second = kLooksPerSecond);
  // REQUIRES: every server was removed.
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // Thread-safe. `server` stays until Remove() has returned.
  void Add(WireServer* server);
  // From now on the queue is looked at all the time, so that what is open can end.
  void Hurry(WireServer* server);
  // Has it closed, and waits until its queue is empty. REQUIRES: its grpc::Server was shut
  // down.
  void Remove(WireServer* server);
  // Something has changed that no socket tells of.
  void Wake();
  // Returns when every server has been looked at since, and what that wrote was sent as far as
  // the peers take it. Not for the wire's thread.
  void AwaitLook();
  AcceptLoop& accept_loop() { return accept_loop_; }

  // The wire's thread: from now on `server` is told of a connection: the peer's socket, and
  // the one that gRPC writes to. Both are unwatched before they are closed.
  absl::Status WatchConnection(int peer_fd, int pipe_fd, WireServer* server);
  void UnwatchConnection(int peer_fd, int pipe_fd);
  // Whether to tell when the peer takes more. Thread-safe.
  void WaitWritable(int peer_fd, bool wait);

  // Whoever calls gRPC on a connection of these servers holds it, so that no two threads
  // ever meet inside: gRPC would hand the loser's work to a thread of its own, which
  // on a full host comes to run some milliseconds later. Recursive, because a call that
  // proceeds starts the next operation.
  InheritingMutex& inside_grpc() { return inside_grpc_; }

  // For calls, in Proceed(): proceeds `tag` with ok = true at that time, or with false
  // when it is cancelled.
  void ProceedAt(uint64_t at_ns, CallTag* tag);
  void Cancel(CallTag* tag);
  uint64_t now_ns() const { return clock_.now_ns(); }

 private:
  struct Entry {
    WireServer* server;
    bool ending = false;  // guarded by mutex_; looked at all the time
    bool close = false;   // guarded by mutex_
    bool closed = false;  // the thread's
    bool empty = false;   // guarded by mutex_, written by the thread: shut down and drained
    uint64_t due_ns = 0;  // the thread's: when the server wants to be looked at
  };
  using Entries = std::vector<std::shared_ptr<Entry>>;

  static constexpr int kEventsAtOnce = 64;

  Wire(Clock clock, uint64_t look_ns, uint32_t looks_per_second, UniqueFd epoll, UniqueFd written,
       UniqueFd wake);
  void Run();
  void Rest(uint32_t looks);
  void Sleep();
  uint64_t ServersDueNs();
  bool TakeEvents(epoll_event* events, int count, bool accept);
  bool Look();
  Entries Chosen(const Entries& entries, uint64_t now_ns) const;
  std::unordered_set<WireServer*> NotTakenIn(const Entries& entries) const;
  void SendOut();
  void CloseIfDue(Entry* entry);
  bool LookAt(Entry* entry);
  void RunTimers();
  static int LeastLooks(const Entries& entries);
  int EnoughLooks(const Entries& entries) const;
  Entries AllEntries();

  const Clock clock_;
  const uint64_t look_ns_;
  const UniqueFd epoll_;
  // What gRPC has written; looked at after it, never slept on: the publisher sends on what it
  // has made gRPC write by itself, and must wake nobody.
  const UniqueFd written_;
  const UniqueFd wake_;
  InheritingMutex inside_grpc_;
  std::mutex mutex_;
  std::condition_variable emptied_;
  std::condition_variable looked_;
  Entries entries_;             // guarded by mutex_
  bool stop_ = false;           // guarded by mutex_
  uint64_t rounds_ = 0;         // guarded by mutex_; that are through
  uint64_t awaited_round_ = 0;  // guarded by mutex_
  bool hurry_ = false;          // guarded by mutex_; a server is ending
  AcceptLoop accept_loop_;
  // The thread's own:
  std::map<int, WireServer*> connections_;  // whose each watched descriptor is
  std::unordered_set<WireServer*>
      told_;                    // those whose peers have spoken, or whose calls have moved
  bool fresh_ = false;          // a connection has come in this round
  bool all_ = true;             // in this round all are looked at
  uint64_t all_looked_ns_ = 0;  // when they last were
  size_t turn_ = 0;             // whose turn it is of the others
  std::multimap<uint64_t, CallTag*> timers_;
  TokenBucket pace_;
  uint64_t glow_ns_ = 0;  // next look though nothing tells of a reason; 0: none
  std::thread thread_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_WIRE_H_
