// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_HINT_STREAM_H_
#define LOCKHOST_SERVER_SERVICE_HINT_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "lockhost/v1/hints.grpc.pb.h"
#include "server/directory/vm_record.h"
#include "server/publisher/hint_sink.h"
#include "server/service/call_tag.h"
#include "server/service/relay.h"
#include "server/service/wire.h"

namespace lockhost::server {

class VmServer;

// The completions of all WatchHints calls of all VMs. Nobody ever sleeps on this queue:
// a write is nearly always through when StartWrite returns, and its completion is
// fetched by the publisher's thread itself. A thread that slept here would be woken for
// each message, for nothing.
class HintQueue final : public HintTransport {
 public:
  // `wire` outlives the queue's last Poll().
  explicit HintQueue(Wire* wire) : wire_(wire) {}
  ~HintQueue() override;

  void Poll(bool sweep) override;

  grpc::CompletionQueue* queue() { return &queue_; }

 private:
  friend class HintStream;

  Wire* const wire_;
  grpc::CompletionQueue queue_;
  int writing_ = 0;  // messages that are not through; the publisher's thread's
};

// One WatchHints call. Waits for a guest in its VM's queue; then it belongs to the
// publisher's thread, and its completions come through the HintQueue. gRPC writes its first
// message and its end; what is between goes past gRPC where it can (service/short_way.h).
class HintStream final : public HintSink, public CallTag {
 public:
  // Waits for the next call. Owns itself until the publisher does.
  static void AcceptNext(VmServer* server) { new HintStream(server); }
  ~HintStream() override;

  void Proceed(bool ok) override;

  absl::Status admission() const override { return admission_; }
  bool wants_deltas() const override { return !request_.heartbeats_only(); }
  State state() const override;
  void Write(const v1::WatchHintsResponse& message) override;
  void End(const absl::Status& status) override;
  void Abort() override { context_.TryCancel(); }

 private:
  enum class Step { kAccepting, kNone, kWriting, kFinishing };

  struct Over final : public CallTag {
    void Proceed(bool) override { here = true; }
    bool here = false;
  };

  explicit HintStream(VmServer* server);
  void Accepted();
  void WriteByGrpc(const v1::WatchHintsResponse& message);
  void MakeFrame(const v1::WatchHintsResponse& message);
  void Finish(const absl::Status& status);
  void SendOut();

  VmServer* const server_;  // until accepted
  HintQueue* const queue_;
  const std::shared_ptr<VmRecord> record_;
  std::shared_ptr<Relay> connection_;
  grpc::ServerContext context_;
  v1::WatchHintsRequest request_;
  grpc::ServerAsyncWriter<v1::WatchHintsResponse> writer_;
  absl::Status admission_;
  Step step_ = Step::kAccepting;
  uint32_t stream_id_ = 0;   // as HTTP/2 numbers it; 0: not known, gRPC writes all messages
  uint64_t grpc_bytes_ = 0;  // of messages that gRPC was given, with their prefixes
  std::string frame_;        // reused
  bool counted_ = false;
  bool failed_ = false;                 // a write failed: the call is dead
  std::optional<absl::Status> ending_;  // as soon as the write is through
  Over over_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_HINT_STREAM_H_
