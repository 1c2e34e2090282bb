// SPDX-License-Identifier: Apache-2.0
//
// A stream that the test holds both ends of.
#ifndef LOCKHOST_TESTS_SERVER_PUBLISHER_FAKE_SINK_H_
#define LOCKHOST_TESTS_SERVER_PUBLISHER_FAKE_SINK_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "server/publisher/hint_sink.h"

namespace lockhost::server {

// What one stream has been told; outlives the sink. Thread-safe.
class FakeGuest {
 public:
  std::atomic<bool> wants_deltas = true;

  // A guest that does not read: the next message stays under way.
  void set_reads(bool reads) {
    const std::lock_guard lock(mutex_);
    if (reads_) writing_ = false;
    reads_ = reads;
  }
  void HangUp() {
    const std::lock_guard lock(mutex_);
    gone_ = true;
  }
  size_t count() const {
    const std::lock_guard lock(mutex_);
    return messages_.size();
  }
  v1::WatchHintsResponse message(size_t index) const {
    const std::lock_guard lock(mutex_);
    return messages_.at(index);
  }
  v1::WatchHintsResponse last() const { return message(count() - 1); }
  std::optional<absl::Status> end() const {
    const std::lock_guard lock(mutex_);
    return end_;
  }
  bool aborted() const {
    const std::lock_guard lock(mutex_);
    return aborted_;
  }

 private:
  friend class FakeSink;
  mutable std::mutex mutex_;
  std::vector<v1::WatchHintsResponse> messages_;
  std::optional<absl::Status> end_;
  bool reads_ = true;
  bool gone_ = false;
  bool aborted_ = false;
  bool writing_ = false;
};

class FakeSink : public HintSink {
 public:
  FakeSink(std::shared_ptr<FakeGuest> guest, absl::Status admission = absl::OkStatus())
      : guest_(std::move(guest)), admission_(std::move(admission)) {}

  absl::Status admission() const override { return admission_; }
  bool wants_deltas() const override { return guest_->wants_deltas; }
  State state() const override {
    const std::lock_guard lock(guest_->mutex_);
    const bool through = guest_->reads_ || guest_->aborted_;
    if (guest_->writing_ && !through) return State::kWriting;
    const bool over = guest_->end_.has_value() || guest_->gone_;
    return over ? State::kClosed : State::kReady;
  }
  void Write(const v1::WatchHintsResponse& message) override {
    const std::lock_guard lock(guest_->mutex_);
    guest_->messages_.push_back(message);
    guest_->writing_ = true;
  }
  void End(const absl::Status& status) override {
    const std::lock_guard lock(guest_->mutex_);
    guest_->end_ = status;
  }
  void Abort() override {
    const std::lock_guard lock(guest_->mutex_);
    guest_->aborted_ = true;
  }

 private:
  const std::shared_ptr<FakeGuest> guest_;
  const absl::Status admission_;
};

class FakeTransport : public HintTransport {
 public:
  void Poll(bool) override {}
};

}  // namespace lockhost::server

#endif  // LOCKHOST_TESTS_SERVER_PUBLISHER_FAKE_SINK_H_
