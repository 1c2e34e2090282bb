// SPDX-License-Identifier: Apache-2.0
#include "tests/load/support/recorder.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lockhost::load {

Recorder::Recorder(std::vector<Guest> guests, HintClients::Options options)
    : guests_(std::move(guests)), histories_(guests_.size()) {
  for (const Guest& guest : guests_) {
    seen_.push_back(std::make_unique<Seen>());
    seen_.back()->revisions.resize(guest.vcpus);
    seen_.back()->told.resize(guest.vcpus);
  }
  thread_ = std::thread([this, options] {
    HintClients clients(
        options,
        {.on_message = [this](size_t guest, const v1::WatchHintsResponse& message,
                              uint64_t received_ns) { OnMessage(guest, message, received_ns); },
         .on_begin =
             [this](size_t guest, uint64_t at_ns) {
               histories_[guest].streams.push_back({.begun_ns = at_ns});
               seen_[guest]->begun_ns = at_ns;
             },
         .on_report = [this](size_t guest,
                             uint64_t at_ns) { histories_[guest].demands_ns.push_back(at_ns); }});
    for (const Guest& guest : guests_) {
      std::vector<uint32_t> all(guest.vcpus);
      std::iota(all.begin(), all.end(), 0);
      clients.Add({.target = "unix:" + guest.socket, .awaited = std::move(all)});
    }
    clients.Run([this] {
      ReadTables();
      return stop_.load();
    });
  });
}

void Recorder::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

bool Recorder::AllResumed(uint64_t since_ns) const {
  return std::all_of(seen_.begin(), seen_.end(),
                     [since_ns](const auto& seen) { return seen->resumed_ns > since_ns; });
}

std::vector<double> Recorder::TakeDeliveryUs() {
  const std::lock_guard lock(mutex_);
  return std::exchange(delivery_us_, {});
}

void Recorder::OnMessage(size_t guest, const v1::WatchHintsResponse& message,
                         uint64_t received_ns) {
  histories_[guest].streams.back().messages.push_back(ToHeard(message, received_ns));
  if (message.has_snapshot()) seen_[guest]->resumed_ns = seen_[guest]->begun_ns.load();
  if (!message.has_delta()) return;
  ++deltas_;
  for (const v1::VcpuHint& hint : message.delta().vcpus()) {
    NoteDelivery(guest, hint, received_ns);
  }
}

void Recorder::NoteDelivery(size_t guest, const v1::VcpuHint& hint, uint64_t received_ns) {
  if (hint.vcpu_id() >= guests_[guest].vcpus) return;
  uint64_t& told = seen_[guest]->told[hint.vcpu_id()];
  if (std::exchange(told, hint.revision()) == hint.revision()) return;
  const agent::VcpuObservation truth = guests_[guest].table->Read(hint.vcpu_id());
  if (!IsStopped(truth.run_state()) || truth.revision() != hint.revision()) return;
  const std::lock_guard lock(mutex_);
  delivery_us_.push_back(static_cast<double>(received_ns - truth.since_ns) / 1e3);
}

void Recorder::ReadTables() {
  for (size_t guest = 0; guest < guests_.size(); ++guest) ReadTable(guest);
}

// Most states last far longer than the time between two looks.
void Recorder::ReadTable(size_t guest) {
  const agent::TableReader& table = *guests_[guest].table;
  for (uint32_t vcpu = 0; vcpu < guests_[guest].vcpus; ++vcpu) {
    const uint64_t word = table.ReadStateWord(vcpu);
    const uint64_t revision = lockhost_revision_of(word);
    if (std::exchange(seen_[guest]->revisions[vcpu], revision) == revision) continue;
    histories_[guest].truths.push_back(
        {table.generation(), vcpu, revision, lockhost_state_of(word)});
  }
}

}  // namespace lockhost::load
