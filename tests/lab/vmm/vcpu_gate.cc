// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/vmm/vcpu_gate.h"

#include "absl/strings/str_cat.h"

namespace lockhost::lab {

bool VcpuGate::Park() {
  std::unique_lock lock(mutex_);
  const uint64_t run = run_;
  ++parked_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return run_ != run || closed_; });
  return !closed_;
}

void VcpuGate::Fail(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = why;
  changed_.notify_all();
}

void VcpuGate::Open() {
  const std::lock_guard lock(mutex_);
  ++run_;
  parked_ = 0;
  changed_.notify_all();
}

absl::Status VcpuGate::WaitUntilAllParked(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [&] { return parked_ == vcpus_ || !failure_.empty(); });
  if (!failure_.empty()) return absl::AbortedError(failure_);
  if (parked_ == vcpus_) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat(vcpus_ - parked_, " of ", vcpus_, " vCPUs did not come to rest in time"));
}

void VcpuGate::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

bool VcpuGate::closed() {
  const std::lock_guard lock(mutex_);
  return closed_;
}

}  // namespace lockhost::lab
