// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_HOST_LINK_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_HOST_LINK_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "client/guest_agent/hint_receiver.h"
#include "client/guest_agent/stats.h"
#include "client/guest_agent/tls_files.h"
#include "common/backoff.h"
#include "lockhost/v1/hints.pb.h"

namespace lockhost::guest_agent {

struct HostConnection;
class MessagePeek;
class WatchCall;

// The connection to the host: one thread that reads hints, so that from the socket to the page
// there is no second one, and reconnects by itself; and the stream of reports, written by whoever
// has one without ever blocking it. Of a unix socket it reads the messages before gRPC does.
class HostLink {
 public:
  struct Options {
    std::string target;  // gRPC target, e.g. "unix:/run/lockhost/vm/7.sock"
    TlsFiles tls;
    std::string agent_version;
    bool heartbeats_only = false;  // the slots are read elsewhere
    Backoff::Limits backoff;
    uint64_t seed = 0;  // of the backoff's jitter
  };
  // Told by the reading thread, where set; must not block.
  struct Observer {
    std::function<void()> on_connected;
    // A message of the host was taken in. It may Send() what follows from it.
    std::function<void(HostLink& link, const v1::WatchHintsResponse& message)> on_message = {};
    std::function<void(const absl::Status& why, uint64_t retry_in_ns)> on_lost;
    std::function<void(const absl::Status& why)> on_stopped;  // for good: see DecideAfterStream
  };

  // `receiver` and `stats` outlive the link. Connects at once.
  HostLink(Options options, HintReceiver* receiver, Stats* stats, Observer observer);
  // Stops the thread; the page is void afterwards.
  ~HostLink();
  HostLink(const HostLink&) = delete;
  HostLink& operator=(const HostLink&) = delete;

  // Hands a report to gRPC. False: not connected, or the one before is still on its way
  // (never more than one is); it is then lost, and counted. Thread-safe.
  bool Send(const v1::ReportHoldersRequest& request);

 private:
  class ReportStream;

  static void Hang(HostConnection* connection);
  void ReadUntilStopped();
  absl::Status ServeConnection();
  bool Use(const std::shared_ptr<HostConnection>& connection);
  absl::Status TakeIn(const v1::WatchHintsResponse& message);
  absl::Status ReadCall(const std::shared_ptr<HostConnection>& connection,
                        const v1::WatchHintsRequest& request);
  absl::Status ReadPipe(const std::shared_ptr<HostConnection>& connection,
                        const v1::WatchHintsRequest& request);
  bool Give(HostConnection& connection, WatchCall& call, const MessagePeek& peek,
            absl::Status* sound);
  bool WaitBeforeRetry(uint64_t delay_ns);

  const Options options_;
  HintReceiver* const receiver_;
  Stats* const stats_;
  const Observer observer_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;                           // guarded by mutex_
  std::shared_ptr<HostConnection> connection_;  // guarded by mutex_; null: none
  // The reading thread's:
  Backoff backoff_;
  uint64_t taken_in_ = 0;           // messages of this connection
  uint64_t delivered_ = 0;          // of these, by gRPC
  v1::WatchHintsResponse message_;  // reused
  std::mutex send_mutex_;
  std::unique_ptr<ReportStream> reports_;  // guarded by send_mutex_
  std::thread reader_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_HOST_LINK_H_
