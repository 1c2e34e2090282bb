// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_PUBLISHER_HINT_SINK_H_
#define LOCKHOST_SERVER_PUBLISHER_HINT_SINK_H_

#include "absl/status/status.h"
#include "lockhost/v1/hints.pb.h"

namespace lockhost::server {

// Where one stream's messages go: a gRPC call in the product. Owned and used by the
// publisher's thread alone; no call blocks.
class HintSink {
 public:
  enum class State {
    kReady,    // takes a message
    kWriting,  // the message before is not through yet
    kClosed,   // the stream is over; may be destroyed, and only then
  };

  virtual ~HintSink() = default;

  // Not OK: the call broke a rule before it became a stream, and ends with this status.
  virtual absl::Status admission() const { return absl::OkStatus(); }
  // Whether the guest wants deltas; otherwise the lease alone.
  virtual bool wants_deltas() const { return true; }
  // As of the last HintTransport::Poll().
  virtual State state() const = 0;
  // REQUIRES: kReady. The message may be changed as soon as this returns.
  virtual void Write(const v1::WatchHintsResponse& message) = 0;
  // Ends the stream with a status, after the message that is being written.
  virtual void End(const absl::Status& status) = 0;
  // Ends it at once, whatever is being written.
  virtual void Abort() = 0;
};

// What all sinks share.
class HintTransport {
 public:
  virtual ~HintTransport() = default;
  // Takes note of what was completed since; does not block. `sweep`: also of streams
  // that ended by themselves, which costs a system call; otherwise of writes alone.
  virtual void Poll(bool sweep) = 0;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_PUBLISHER_HINT_SINK_H_
