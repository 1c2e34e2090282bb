// SPDX-License-Identifier: Apache-2.0
#include "server/service/hint_stream.h"

#include <grpc/support/time.h>

#include <utility>

#include "server/service/report_check.h"
#include "server/service/vm_server.h"

namespace lockhost::server {
namespace {

constexpr size_t kPrefixBytes = 5;  // of a gRPC message

}  // namespace

HintQueue::~HintQueue() {
  queue_.Shutdown();
  void* tag;
  bool ok;
  while (queue_.Next(&tag, &ok)) {
  }
}

void HintQueue::Poll(bool sweep) {
  if (!sweep && writing_ == 0) return;  // most messages go past gRPC
  void* tag;
  bool ok;
  const std::lock_guard inside(wire_->inside_grpc());
  while (sweep || writing_ > 0) {
    if (queue_.AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_REALTIME)) !=
        grpc::CompletionQueue::GOT_EVENT) {
      // gRPC has looked at the sockets, and may have read what the wire waits for.
      return wire_->Wake();
    }
    static_cast<CallTag*>(tag)->Proceed(ok);
  }
}

HintStream::HintStream(VmServer* server)
    : server_(server), queue_(server->hint_queue()), record_(server->record()), writer_(&context_) {
  context_.AsyncNotifyWhenDone(over_.tag());
  server->service()->RequestWatchHints(&context_, &request_, &writer_, queue_->queue(),
                                       server->queue(), tag());
}

HintStream::~HintStream() {
  if (counted_) record_->counters().streams.fetch_sub(1);
}

void HintStream::Proceed(bool ok) {
  switch (std::exchange(step_, Step::kNone)) {
    case Step::kAccepting:
      // Of a call that was accepted the end (over_) will be told, also where the server is closed.
      return ok ? Accepted() : delete this;
    case Step::kWriting:
      --queue_->writing_;
      failed_ |= !ok;
      if (ending_.has_value()) Finish(*std::exchange(ending_, std::nullopt));
      return;
    case Step::kFinishing:
      failed_ = true;
      return;
    case Step::kNone:
      return;
  }
}

void HintStream::Accepted() {
  if (!server_->closed()) AcceptNext(server_);
  connection_ = server_->ConnectionOf(context_);
  admission_ = CheckWatchRequest(request_);
  counted_ = true;
  if (record_->counters().streams.fetch_add(1) >= server_->max_streams() && admission_.ok()) {
    admission_ = absl::ResourceExhaustedError("this VM has too many streams");
  }
  if (!admission_.ok()) record_->counters().streams_refused.fetch_add(1);
  // From here on the publisher's thread owns this object.
  server_->publisher()->AddStream(record_->vm_id(), std::unique_ptr<HintSink>(this));
}

HintSink::State HintStream::state() const {
  if (step_ != Step::kNone) return State::kWriting;
  if (over_.here) return State::kClosed;
  return failed_ ? State::kWriting : State::kReady;
}

void HintStream::Write(const v1::WatchHintsResponse& message) {
  if (connection_ == nullptr) return WriteByGrpc(message);
  MakeFrame(message);
  if (stream_id_ != 0 && connection_->SendPastGrpc(stream_id_, grpc_bytes_, &frame_)) {
    record_->counters().messages_past_grpc.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const uint64_t size = frame_.size() - http2::kHeaderBytes;
  const bool first = std::exchange(grpc_bytes_, grpc_bytes_ + size) == 0;
  if (first) connection_->AwaitMessage(std::string_view(frame_).substr(http2::kHeaderBytes));
  WriteByGrpc(message);
  if (first) stream_id_ = connection_->FoundStream();
}

void HintStream::WriteByGrpc(const v1::WatchHintsResponse& message) {
  const std::lock_guard inside(queue_->wire_->inside_grpc());
  step_ = Step::kWriting;
  ++queue_->writing_;
  writer_.Write(message, tag());
  SendOut();
}

// Room for the frame's header; then, as gRPC does, "not compressed", the length, the message.
void HintStream::MakeFrame(const v1::WatchHintsResponse& message) {
  const size_t size = message.ByteSizeLong();
  frame_.resize(http2::kHeaderBytes + kPrefixBytes + size);
  char* const prefix = frame_.data() + http2::kHeaderBytes;
  prefix[0] = 0;
  http2::WriteBig32(static_cast<uint32_t>(size), prefix + 1);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(prefix + kPrefixBytes));
}

void HintStream::End(const absl::Status& status) {
  if (step_ == Step::kNone) return Finish(status);
  ending_ = status;
}

void HintStream::Finish(const absl::Status& status) {
  const std::lock_guard inside(queue_->wire_->inside_grpc());
  step_ = Step::kFinishing;
  writer_.Finish(ToGrpc(status), tag());
  SendOut();
}

void HintStream::SendOut() {
  // Its end is the wire's business.
  if (connection_ != nullptr) connection_->SendOut();
}

}  // namespace lockhost::server
