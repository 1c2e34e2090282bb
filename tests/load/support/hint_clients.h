// SPDX-License-Identifier: Apache-2.0
//
// Many guests in one process and one thread: for each a connection of its own, a stream of
// hints and a stream of reports that shows demand. What a guest agent does on the wire, without a
// page. Used where hundreds of guests are wanted, and where each message is to be seen.
#ifndef LOCKHOST_TESTS_LOAD_SUPPORT_HINT_CLIENTS_H_
#define LOCKHOST_TESTS_LOAD_SUPPORT_HINT_CLIENTS_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lockhost/v1/hints.pb.h"

namespace lockhost::load {

struct GuestPlan {
  std::string target;             // gRPC target: the VM's socket
  std::vector<uint32_t> awaited;  // vCPUs named in each report; none: no demand is shown
};

// Not thread-safe: everything, also the observer's functions, happens in the thread that
// calls Run().
class HintClients {
 public:
  struct Options {
    std::chrono::milliseconds report_interval{200};
    // From the end of a stream to the next attempt, with as much jitter.
    std::chrono::milliseconds retry{30};
    // A stream is given up after so many messages, and opened again; 0: never.
    uint64_t messages_each_stream = 0;
  };
  struct Observer {
    // `received_ns`: CLOCK_MONOTONIC, when the message was taken out of gRPC.
    std::function<void(size_t guest, const v1::WatchHintsResponse& message, uint64_t received_ns)>
        on_message = {};
    // Where set: a guest begins to connect; a report has been handed to gRPC.
    std::function<void(size_t guest, uint64_t at_ns)> on_begin = {};
    std::function<void(size_t guest, uint64_t at_ns)> on_report = {};
    // Where set: the stream has ended; the client tries again by itself.
    std::function<void(size_t guest, const grpc::Status& why, uint64_t at_ns)> on_end = {};
  };

  HintClients(Options options, Observer observer);
  // Ends all streams, and waits for that.
  ~HintClients();
  HintClients(const HintClients&) = delete;
  HintClients& operator=(const HintClients&) = delete;

  // Connects when Run() runs. Returns the guest's number.
  size_t Add(GuestPlan plan);
  // Serves all guests until `done()`, which is asked at least every 10 ms.
  void Run(const std::function<bool()>& done);

  // Guests that have received something on their present stream.
  size_t live() const;

 private:
  class Guest;

  const Options options_;
  const Observer observer_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Guest>> guests_;
};

}  // namespace lockhost::load

#endif  // LOCKHOST_TESTS_LOAD_SUPPORT_HINT_CLIENTS_H_
