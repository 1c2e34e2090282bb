// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/watch_call.h"

#include <grpc/support/time.h>

namespace lockhost::guest_agent {

WatchCall::WatchCall(v1::HintService::Stub* stub, grpc::ClientContext* context,
                     const v1::WatchHintsRequest& request, std::mutex* inside)
    : context_(context), inside_(inside) {
  const std::lock_guard lock(*inside_);
  reader_ = stub->PrepareAsyncWatchHints(context, request, &queue_);
  reader_->StartCall(this);
}

WatchCall::~WatchCall() {
  Cancel();
  const std::lock_guard lock(*inside_);
  void* tag;
  bool ok;
  // The call must have ended before it is destroyed, and then the queue is empty.
  while (step_ != Step::kOver) {
    if (step_ == Step::kHere) {
      step_ = Step::kFinishing;
      reader_->Finish(&status_, this);
    }
    if (!queue_.Next(&tag, &ok)) break;
    Proceed(ok);
  }
  queue_.Shutdown();
  while (queue_.Next(&tag, &ok)) continue;
}

WatchCall::Got WatchCall::Look() {
  const std::lock_guard lock(*inside_);
  if (step_ == Step::kOver) return Got::kOver;
  if (step_ == Step::kHere) {
    step_ = Step::kReading;
    reader_->Read(&message_, this);
  }
  void* tag;
  bool ok;
  Got got = Got::kNothing;
  while (got == Got::kNothing && queue_.AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_REALTIME)) ==
                                     grpc::CompletionQueue::GOT_EVENT) {
    got = Proceed(ok);
  }
  return got;
}

void WatchCall::Cancel() {
  const std::lock_guard lock(*inside_);
  context_->TryCancel();
}

WatchCall::Got WatchCall::Proceed(bool ok) {
  if (step_ == Step::kFinishing) {
    step_ = Step::kOver;
    return Got::kOver;
  }
  if (!ok) {
    step_ = Step::kFinishing;
    reader_->Finish(&status_, this);
    return Got::kNothing;
  }
  if (step_ == Step::kReading) {
    step_ = Step::kHere;
    return Got::kMessage;
  }
  step_ = Step::kReading;
  reader_->Read(&message_, this);
  return Got::kNothing;
}

}  // namespace lockhost::guest_agent
