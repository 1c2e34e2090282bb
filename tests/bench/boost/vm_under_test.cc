// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boost/vm_under_test.h"

#include <utility>

#include "agent/channel/agent_client.h"
#include "tests/lab/harness/boost_times.h"

namespace lockhost::bench {
namespace {

constexpr std::chrono::seconds kTimeout{10};

}  // namespace

absl::StatusOr<std::unique_ptr<VmUnderTest>> VmUnderTest::Start(uint32_t vcpus) {
  std::unique_ptr<VmUnderTest> vm(new VmUnderTest);
  absl::StatusOr<std::unique_ptr<lab::Session>> session =
      lab::Session::Create(vcpus, lab::BackendChoice::kAuto);
  if (!session.ok()) return session.status();
  vm->session_ = *std::move(session);
  if (absl::Status up = vm->session_->StartDaemons(); !up.ok()) return up;
  if (!vm->session_->why_not_boosted().empty()) {
    return absl::FailedPreconditionError(vm->session_->why_not_boosted());
  }
  if (absl::Status listening = vm->Listen(); !listening.ok()) return listening;
  vm->counted_ = vm->HolderPreemptions();
  return vm;
}

absl::Status VmUnderTest::Listen() {
  auto client = agent::AgentClient::Connect(session_->daemons()->agent_socket());
  if (!client.ok()) return client.status();
  if (absl::Status asked = client->Subscribe(); !asked.ok()) return asked;
  const auto event = client->Await(kTimeout);
  if (!event.ok()) return event.status();
  const auto* source = std::get_if<agent::SourceEvent>(&*event);
  if (source == nullptr || !source->boost_log.valid() || !source->stats.valid()) {
    return absl::FailedPreconditionError("the agent keeps no log of boosts, or no books");
  }
  auto log = agent::BoostLogReader::Attach(source->boost_log.get());
  if (!log.ok()) return log.status();
  log_ = *std::move(log);
  auto books = agent::StatsReader::Attach(source->stats.get());
  if (!books.ok()) return books.status();
  books_ = *std::move(books);
  return absl::OkStatus();
}

VmUnderTest::Boosts VmUnderTest::TakeBoosts() {
  Boosts boosts;
  const uint64_t before = last_boost_;
  const std::vector<uint64_t> rings = session_->machine().TakeRings();
  for (const agent::BoostRecord& record : log_->After(before)) {
    const uint64_t back = record.running_at_ns != 0 ? record.running_at_ns : record.ended_at_ns;
    const uint64_t from = lab::AwaitedSinceNs(record, rings);
    if (back > from) boosts.holder_back_ns.Add(back - from);
    last_boost_ = record.id;
  }
  boosts.count = last_boost_ - before;
  return boosts;
}

VmUnderTest::Counts VmUnderTest::HolderPreemptions() const {
  Counts counts(LOCKHOST_DURATION_BUCKETS);
  for (const agent::StatsReader::Place& place : books_->Places()) {
    if (place.vm_id != session_->vm_id()) continue;
    const lockhost_vcpu_stats stats = books_->Read(place);
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += stats.holder_preempted[i];
  }
  return counts;
}

lab::Histogram VmUnderTest::TakeHolderPreemptions() {
  lab::Histogram lengths = {};
  const Counts now = HolderPreemptions();
  for (size_t i = 0; i < now.size(); ++i) {
    const uint64_t upper_ns = uint64_t{1} << (i + 11);
    for (uint64_t n = counted_[i]; n < now[i]; ++n) lengths.Add(upper_ns);
  }
  counted_ = now;
  return lengths;
}

}  // namespace lockhost::bench
