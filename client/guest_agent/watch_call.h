// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_WATCH_CALL_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_WATCH_CALL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>

#include "lockhost/v1/hints.grpc.pb.h"

namespace lockhost::guest_agent {

// A WatchHints call in which nobody sleeps: gRPC looks when it is told to. Used by one thread;
// whoever else calls gRPC on this connection holds `inside`, so that two never meet in it.
class WatchCall {
 public:
  enum class Got { kNothing, kMessage, kOver };

  // Begins the call. All outlive it.
  WatchCall(v1::HintService::Stub* stub, grpc::ClientContext* context,
            const v1::WatchHintsRequest& request, std::mutex* inside);
  // Cancels what is left of it.
  ~WatchCall();
  WatchCall(const WatchCall&) = delete;
  WatchCall& operator=(const WatchCall&) = delete;

  // Lets gRPC look once. kMessage: message() is the next one, until the next look.
  Got Look();
  const v1::WatchHintsResponse& message() const { return message_; }
  // After kOver.
  const grpc::Status& status() const { return status_; }
  // It is over before long.
  void Cancel();

 private:
  enum class Step { kStarting, kReading, kHere, kFinishing, kOver };
  Got Proceed(bool ok);

  grpc::ClientContext* const context_;
  std::mutex* const inside_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::WatchHintsResponse>> reader_;
  v1::WatchHintsResponse message_;  // reused: reading allocates nothing once it has grown
  grpc::Status status_;
  Step step_ = Step::kStarting;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_WATCH_CALL_H_
