// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_RELAY_H_
#define LOCKHOST_SERVER_SERVICE_RELAY_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"
#include "server/directory/connection_counters.h"
#include "server/service/frame_inspector.h"
#include "server/service/peer_stream.h"
#include "server/service/short_way.h"

namespace lockhost::server {

// One connection: between the peer's socket and a socket pair whose other end is gRPC's.
//
// gRPC reads from a socket for as long as something comes, and keeps what it makes of it: a
// guest that sends floods of small frames keeps the thread in there and fills the memory
// (hundreds of MiB a second were measured with 1.51). So it gets only what the
// inspector has let pass, in portions. And who does not read is not read from, so that answers
// do not pile up. No thread and no wake-up is added: what gRPC writes goes on to the peer in
// the thread that made it write.
class Relay {
 public:
  enum class State { kOpen, kOver };

  // Called with true when the peer's socket should be waited for until it takes more, with
  // false when no more; from any thread, until Disconnect().
  using WaitWritable = std::function<void(int peer_fd, bool wait)>;

  // `budget` outlives the relay.
  static absl::StatusOr<std::shared_ptr<Relay>> Create(std::unique_ptr<PeerStream> peer,
                                                       FrameBudget* budget,
                                                       WaitWritable wait_writable);

  int peer_fd() const { return peer_->fd(); }
  int pipe_fd() const { return pipe_.get(); }
  // As gRPC knows the connection ("fd:N"), -1 while it does not.
  int grpc_fd() const { return grpc_fd_; }
  bool called() const { return inspector_.called(); }

  struct Taken {
    std::optional<Refusal> refused = std::nullopt;  // to be closed at once
    bool over = false;                              // the peer has closed
    bool more = false;                              // there is more to read
  };
  // From the peer towards gRPC, one portion. One thread.
  Taken TakeIn(uint64_t now_ns);
  // gRPC has read what it was given, or does not have its end yet.
  bool HasTakenIn() const;
  // gRPC's end, once, when the peer has greeted; else invalid. One thread.
  UniqueFd TakeGrpcEnd();
  // From gRPC to the peer. kOver: gRPC has closed, and all that it wrote is sent; or the peer
  // is gone. Thread-safe.
  State SendOut();
  // gRPC is about to be given a stream's first message: `message` with its prefix, good until
  // FoundStream(), which tells what stream it went out on, 0 for not known.
  void AwaitMessage(std::string_view message);
  uint32_t FoundStream();
  // Sends a DATA frame of that stream past gRPC, which was given `grpc_bytes` for the stream
  // before. False: that cannot be done now, and `frame` is as it was.
  bool SendPastGrpc(uint32_t stream_id, uint64_t grpc_bytes, std::string* frame);
  // Ends both sides; nothing is sent any more. A stream may keep the relay for a while.
  void Disconnect();

 private:
  Relay(std::unique_ptr<PeerStream> peer, UniqueFd pipe, UniqueFd grpc_end, FrameBudget* budget,
        WaitWritable wait_writable);
  bool FlushIn();
  bool FlushOut();

  const std::unique_ptr<PeerStream> peer_;
  const UniqueFd pipe_;
  UniqueFd grpc_end_;
  int grpc_fd_ = -1;
  FrameInspector inspector_;
  std::atomic<uint32_t> sends_{0};  // to the peer, since the last TakeIn()
  std::string unsent_in_;           // what the pair did not take yet; at most one portion
  const WaitWritable wait_writable_;
  std::mutex mutex_;
  ShortWay short_way_;      // guarded by mutex_
  std::string unsent_out_;  // guarded by mutex_; at most one portion
  bool blocked_ = false;    // guarded by mutex_: the peer does not read
  bool over_ = false;       // guarded by mutex_: disconnected
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_RELAY_H_
