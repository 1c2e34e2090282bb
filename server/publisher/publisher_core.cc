// SPDX-License-Identifier: Apache-2.0
#include "server/publisher/publisher_core.h"

#include <algorithm>
#include <utility>

namespace lockhost::server {
namespace {

// A stream whose guest does not read is looked at again after 1 ms, then ever more
// rarely: it must not become a busy loop of ours.
constexpr uint64_t kFirstRetryNs = 1'000'000;
constexpr uint64_t kLastRetryNs = 128'000'000;

template <typename T>
void Count(std::atomic<T>& counter, T by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

// Highest vCPU id in the table, plus one. The table has room for many more.
uint32_t VcpuEnd(const agent::TableReader& table) {
  uint32_t end = table.slot_count();
  while (end > 0 && table.ReadStateWord(end - 1) == 0) --end;
  return end;
}

}  // namespace

PublisherCore::~PublisherCore() = default;

void PublisherCore::AgentHere(std::unique_ptr<InterestMap> interest, bool has_ring,
                              uint64_t now_ns) {
  interest_ = std::move(interest);
  has_ring_ = has_ring;
  const bool back = !std::exchange(agent_here_, true);
  for (auto& [vm_id, vm] : vms_) {
    if (back) {
      for (Stream& stream : vm.streams) stream.subscription.Resync();
    }
    UpdateInterest(vm, now_ns);
    FlushVm(vm, now_ns);
  }
}

void PublisherCore::AgentGone() {
  agent_here_ = false;
  has_ring_ = false;
  interest_.reset();
}

void PublisherCore::PutVm(std::shared_ptr<VmRecord> record, uint64_t now_ns) {
  Vm& vm = vms_[record->vm_id()];
  vm.table = record->table();
  vm.vm_index = record->facts().vm_index;
  vm.vcpu_end = VcpuEnd(*vm.table);
  vm.record = std::move(record);
  FlushVm(vm, now_ns);
}

void PublisherCore::RemoveVm(uint64_t vm_id, uint64_t now_ns) {
  const auto found = vms_.find(vm_id);
  if (found == vms_.end()) return;
  Vm& vm = found->second;
  if (interest_ != nullptr) interest_->Clear(vm.vm_index);
  SetDemandTold(vm, false);
  EndStreams(vm, absl::NotFoundError("the VM has gone"), now_ns);
  std::erase(touched_, &vm);
  vms_.erase(found);
}

void PublisherCore::AddStream(uint64_t vm_id, std::unique_ptr<HintSink> sink, uint64_t now_ns) {
  const auto found = vms_.find(vm_id);
  absl::Status refusal = sink->admission();
  if (refusal.ok() && found == vms_.end()) refusal = absl::NotFoundError("the VM has gone");
  if (refusal.ok() && draining_) refusal = absl::UnavailableError("the host drains");
  if (!refusal.ok()) return Close(std::move(sink), refusal, now_ns);
  Vm& vm = found->second;
  vm.vcpu_end = VcpuEnd(*vm.table);
  vm.streams.push_back({std::move(sink), Subscription(options_.timing), true});
  ++streams_;
  UpdateInterest(vm, now_ns);
  FlushVm(vm, now_ns);
}

void PublisherCore::ApplyDemand(uint64_t vm_id, const DemandUpdate& update, uint64_t now_ns) {
  const auto found = vms_.find(vm_id);
  if (found == vms_.end()) return;
  Vm& vm = found->second;
  if (vm.demand.Apply(update, now_ns)) {
    vm.vcpu_end = VcpuEnd(*vm.table);
    for (Stream& stream : vm.streams) stream.subscription.TellAll();
  }
  UpdateInterest(vm, now_ns);
  FlushVm(vm, now_ns);
}

void PublisherCore::Drain(uint64_t now_ns) {
  draining_ = true;
  for (auto& [vm_id, vm] : vms_) {
    EndStreams(vm, absl::UnavailableError("the host drains"), now_ns);
    UpdateInterest(vm, now_ns);
  }
}

void PublisherCore::OnEvent(const agent::HintEvent& event) {
  Count(stats_->events);
  const auto found = vms_.find(event.vm_id);
  if (found == vms_.end()) return Count(stats_->events_unknown);
  Vm& vm = found->second;
  Count(vm.record->counters().events);
  if (event.vcpu_id < vm.table->slot_count()) {
    vm.vcpu_end = std::max(vm.vcpu_end, event.vcpu_id + 1);
  }
  if (vm.event_at_ns == 0) {
    vm.event_at_ns = event.at_ns;
    touched_.push_back(&vm);
  }
}

// First all messages, then what they have completed: of many VMs at once, the last one's guest
// does not wait for the others' books.
void PublisherCore::Flush(uint64_t now_ns) {
  bool wrote = false;
  for (Vm* vm : touched_) {
    wrote |= WriteAll(*vm, now_ns);
    vm->event_at_ns = 0;
  }
  if (wrote) transport_->Poll(/*sweep=*/false);
  for (Vm* vm : touched_) DropClosed(*vm);
  touched_.clear();
}

void PublisherCore::FlushVm(Vm& vm, uint64_t now_ns) {
  if (WriteAll(vm, now_ns)) transport_->Poll(/*sweep=*/false);
  DropClosed(vm);
}

bool PublisherCore::WriteAll(Vm& vm, uint64_t now_ns) {
  bool wrote = false;
  if (!agent_here_) return wrote;
  for (Stream& stream : vm.streams) {
    stream.dirty = stream.sink->state() == HintSink::State::kWriting;
    if (stream.sink->state() == HintSink::State::kReady) {
      wrote |= WriteNext(vm, stream, now_ns);
    }
    blocked_ |= stream.dirty;
  }
  return wrote;
}

bool PublisherCore::WriteNext(Vm& vm, Stream& stream, uint64_t now_ns) {
  VmCounters& counters = vm.record->counters();
  const Subscription::View view{*vm.table, GuestGeneration(*vm.table, options_.instance),
                                vm.vcpu_end};
  const bool deltas = vm.demand.active(now_ns) && stream.sink->wants_deltas();
  switch (stream.subscription.Next(view, deltas, now_ns, &message_)) {
    case Subscription::Message::kNone:
      return false;
    case Subscription::Message::kSnapshot:
      Count(counters.snapshots[stream.subscription.last_snapshot_reason()]);
      Count<uint64_t>(counters.hints, message_.snapshot().vcpus_size());
      break;
    case Subscription::Message::kDelta:
      Count(counters.deltas);
      Count<uint64_t>(counters.hints, message_.delta().vcpus_size());
      if (vm.event_at_ns != 0 && now_ns > vm.event_at_ns) {
        stats_->delivery.Observe(now_ns - vm.event_at_ns);
      }
      break;
    case Subscription::Message::kHeartbeat:
      Count(counters.heartbeats);
      break;
  }
  stream.sink->Write(message_);
  return true;
}

void PublisherCore::EndStreams(Vm& vm, const absl::Status& status, uint64_t now_ns) {
  for (Stream& stream : vm.streams) Close(std::move(stream.sink), status, now_ns);
  streams_ -= static_cast<uint32_t>(vm.streams.size());
  vm.streams.clear();
}

void PublisherCore::Close(std::unique_ptr<HintSink> sink, const absl::Status& status,
                          uint64_t now_ns) {
  sink->End(status);
  closing_.push_back({std::move(sink), now_ns + options_.closing_ns});
}

void PublisherCore::DropClosed(Vm& vm) {
  const size_t before = vm.streams.size();
  std::erase_if(vm.streams, [](const Stream& stream) {
    return stream.sink->state() == HintSink::State::kClosed;
  });
  streams_ -= static_cast<uint32_t>(before - vm.streams.size());
}

void PublisherCore::UpdateInterest(Vm& vm, uint64_t now_ns) {
  const bool wanted = vm.demand.active(now_ns) && !vm.streams.empty();
  SetDemandTold(vm, wanted);
  if (interest_ == nullptr) return;
  if (!wanted) return interest_->Clear(vm.vm_index);
  uint64_t awaited[Demand::kWords];
  vm.demand.AwaitedBits(now_ns, awaited);
  interest_->Set(vm.vm_index, vm.record->vm_id(), vm.demand.until_ns(), awaited);
}

void PublisherCore::SetDemandTold(Vm& vm, bool told) {
  vm.demand_told = told;
  vm.record->counters().demand = told;
}

uint64_t PublisherCore::Tick(uint64_t now_ns) {
  // Streams that end by themselves show at their next write: then, too, they are closing.
  transport_->Poll(/*sweep=*/!closing_.empty() || blocked_);
  uint64_t next_ns = TickClosing(now_ns);
  blocked_ = false;
  for (auto& [vm_id, vm] : vms_) next_ns = std::min(next_ns, TickVm(vm, now_ns));
  retry_ns_ = blocked_ ? std::clamp(2 * retry_ns_, kFirstRetryNs, kLastRetryNs) : 0;
  return blocked_ ? std::min(next_ns, now_ns + retry_ns_) : next_ns;
}

uint64_t PublisherCore::TickVm(Vm& vm, uint64_t now_ns) {
  if (vm.demand_told && !vm.demand.active(now_ns)) UpdateInterest(vm, now_ns);
  DropClosed(vm);
  if (vm.streams.empty() || !agent_here_) return kNever;
  const bool poll = vm.demand_told && !has_ring_;
  bool due = poll;
  for (const Stream& stream : vm.streams) {
    due |= stream.dirty ||
           now_ns + options_.timing.heartbeat_slack_ns >= stream.subscription.heartbeat_due_ns();
  }
  if (due) {
    if (!vm.demand_told || poll) vm.vcpu_end = VcpuEnd(*vm.table);
    FlushVm(vm, now_ns);
  }
  uint64_t next_ns = vm.demand_told ? vm.demand.until_ns() : kNever;
  if (poll) next_ns = std::min(next_ns, now_ns + options_.poll_interval_ns);
  for (const Stream& stream : vm.streams) {
    // A stream that is being written has its own pace of looks.
    if (!stream.dirty) next_ns = std::min(next_ns, stream.subscription.heartbeat_due_ns());
  }
  return next_ns;
}

uint64_t PublisherCore::TickClosing(uint64_t now_ns) {
  std::erase_if(closing_, [](const Closing& closing) {
    return closing.sink->state() == HintSink::State::kClosed;
  });
  uint64_t next_ns = kNever;
  for (Closing& closing : closing_) {
    if (now_ns >= closing.abort_at_ns) closing.sink->Abort();
    next_ns = std::min(next_ns, now_ns + 10'000'000);
  }
  return next_ns;
}

}  // namespace lockhost::server
