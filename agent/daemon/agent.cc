// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/agent.h"

#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/daemon/process_handle.h"
#include "agent/kernel/describe_vm.h"

namespace lockhost::agent {
namespace {

constexpr std::chrono::milliseconds kAnnounceAfter{20};
constexpr uint64_t kLogTroubleEveryNs = 10'000'000'000;
constexpr uint64_t kLookAtLoadEveryNs = 1'000'000'000;

uint64_t RealtimeMs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(EventLoop* loop, const AgentOptions& options,
                                                     Clock clock) {
  auto procfs = Procfs::Open(options.procfs_root);
  if (!procfs.ok()) return procfs.status();
  std::unique_ptr<Agent> agent(new Agent(loop, *std::move(procfs), options.sysfs_root, clock));
  if (absl::Status status = agent->Start(options); !status.ok()) return status;
  return agent;
}

absl::Status Agent::Start(const AgentOptions& options) {
  registered_vms_ = options.registered_vms;
  // The channel first: where another agent listens, nothing must be loaded or pinned.
  if (absl::Status status = StartChannel(options); !status.ok()) return status;
  auto boosts = Boosts::Create(options.boost, clock_);
  if (!boosts.ok()) return boosts.status();
  boosts_ = *std::move(boosts);
  if (boosts_->undone() != 0) {
    spdlog::warn("restored {} threads that an earlier agent had left boosted", boosts_->undone());
  }
  if (absl::Status status = StartSource(options); !status.ok()) return status;
  for (const VmRecord& record : chosen_.source->Adopted()) {
    const auto vm = TakeIn(record);
    if (vm.ok()) continue;
    spdlog::warn("VM {} is no longer followed: {}", record.vm_id, Text(vm.status()));
    chosen_.source->RemoveVm(record);
  }
  return StartTimers();
}

Agent::~Agent() {
  for (auto& [vm_id, vm] : registry_.vms()) {
    loop_->Forget(vm.pidfd.get());
    if (!chosen_.source->outlives_agent()) chosen_.source->RemoveVm(vm.record);
  }
  if (boosts_ != nullptr) boosts_->Use(nullptr);
  if (chosen_.source != nullptr) loop_->Forget(chosen_.source->event_fd());
}

absl::Status Agent::StartSource(const AgentOptions& options) {
  auto chosen = ChooseSource(options.source, options.bpf, &procfs_, sysfs_root_, clock_);
  if (!chosen.ok()) return chosen.status();
  if (options.wrap_source) chosen->source = options.wrap_source(std::move(chosen->source));
  return TakeSource(*std::move(chosen));
}

absl::Status Agent::StartChannel(const AgentOptions& options) {
  ChannelOptions channel;
  channel.path = options.socket;
  channel.server_uids = options.server_uids;
  channel.start_ticks = [this](pid_t pid) -> std::optional<uint64_t> {
    const auto stat = procfs_.Stat(pid);
    return stat ? std::optional(stat->start_ticks) : std::nullopt;
  };
  auto page = HostPageWriter::Create();
  if (!page.ok()) return page.status();
  host_page_ = *std::move(page);
  auto server = ChannelServer::Create(loop_, channel, this);
  if (!server.ok()) return server.status();
  channel_ = *std::move(server);
  return absl::OkStatus();
}

absl::Status Agent::StartTimers() {
  auto poll = Timer::Create(loop_, [this] { Poll(); });
  if (!poll.ok()) return poll.status();
  poll_timer_ = *std::move(poll);
  auto change = Timer::Create(loop_, [this] { AnnounceChanged(); });
  if (!change.ok()) return change.status();
  change_timer_ = *std::move(change);
  Poll();
  return absl::OkStatus();
}

void Agent::Poll() {
  const auto sightings = chosen_.source->Poll();
  if (!sightings.ok()) {
    CountFailure(sightings.status());
  } else {
    failures_ = 0;
    for (const VmSighting& sighting : *sightings) {
      if (registry_.FindSighted(sighting) != nullptr) continue;
      const auto vm = Follow(sighting);
      if (vm.ok()) continue;
      spdlog::warn("VM of pid {} is not followed: {}", sighting.process.pid, Text(vm.status()));
    }
  }
  CheckCounts();
  if (clock_.now_ns() - load_looked_at_ns_ >= kLookAtLoadEveryNs) LookAtLoad();
  LogTrouble();
  poll_timer_->Set(chosen_.source->poll_interval());
}

absl::StatusOr<Vm*> Agent::Follow(const VmSighting& sighting) {
  const auto record = registry_.MakeRecord(sighting, RealtimeMs());
  if (!record.ok()) return record.status();
  if (absl::Status status = chosen_.source->AddVm(*record); !status.ok()) return status;
  auto vm = TakeIn(*record);
  if (!vm.ok()) {
    chosen_.source->RemoveVm(*record);
    return vm.status();
  }
  chosen_.source->SetMode(*record, overcommit_.Of(record->vm_id).mode);
  return vm;
}

absl::StatusOr<Vm*> Agent::TakeIn(const VmRecord& record) {
  Vm vm;
  vm.record = record;
  auto pidfd = OpenProcess(procfs_, record.process);
  if (!pidfd.ok()) return pidfd.status();
  vm.pidfd = *std::move(pidfd);
  auto table = TableReader::Attach(chosen_.source->TableFd(record));
  if (!table.ok()) return table.status();
  vm.table = *std::move(table);
  vm.facts = DescribeVm(procfs_, record.process.pid).facts;
  // KVM itself showed it, whatever may be seen of the process.
  const bool seen_by_kvm = chosen_.source->kind() == SourceKind::kBpf && record.key != 0;
  if (seen_by_kvm) vm.facts.accelerator = Accelerator::kKvm;
  vm.counts = chosen_.source->Counts(record);
  vm.reports_readable = chosen_.source->ReportsReadable(record);
  const uint64_t vm_id = record.vm_id;
  const auto on_end = [this, vm_id](uint32_t) { End(vm_id, "its process has ended"); };
  if (absl::Status status = loop_->Watch(vm.pidfd.get(), EPOLLIN, on_end); !status.ok()) {
    return status;
  }
  spdlog::info("VM {}: pid {} {} {}", vm_id, record.process.pid, vm.facts.vmm, vm.facts.name);
  boosts_->AddVm(vm);
  Vm* taken = registry_.Insert(std::move(vm));
  channel_->AnnounceVm(Announcement(*taken));
  return taken;
}

void Agent::End(uint64_t vm_id, const char* why) {
  Vm* vm = registry_.Find(vm_id);
  if (vm == nullptr) return;
  spdlog::info("VM {} has gone: {}", vm_id, why);
  loop_->Forget(vm->pidfd.get());
  boosts_->RemoveVm(vm->record);
  chosen_.source->RemoveVm(vm->record);
  kvm_stats_.Forget(vm_id);
  auto gone = MakeMessage<VmGoneMessage>(MessageType::kVmGone);
  gone.vm_id = vm_id;
  gone.vm_index = vm->record.vm_index;
  registry_.Remove(vm_id);
  changed_.erase(vm_id);
  channel_->AnnounceVmGone(gone);
  LookAtLoad();
}

void Agent::CheckCounts() {
  std::vector<uint64_t> ended;
  bool changed = false;
  for (auto& [vm_id, vm] : registry_.vms()) {
    const VcpuCounts counts = chosen_.source->Counts(vm.record);
    if (counts.seen > 0 && counts.live == 0) ended.push_back(vm_id);
    if (counts == vm.counts) continue;
    if (counts.seen != vm.counts.seen) MarkChanged(vm);
    vm.counts = counts;
    changed = true;
  }
  for (const uint64_t vm_id : ended) End(vm_id, "all its vCPU threads have ended");
  if (changed) LookAtLoad();
}

void Agent::LogTrouble() {
  const uint64_t now = clock_.now_ns();
  if (now - trouble_logged_at_ns_ < kLogTroubleEveryNs) return;
  const std::vector<SourceCounter> counters = AllCounters();
  trouble_.resize(counters.size());
  for (size_t i = 0; i < counters.size(); ++i) {
    if (counters[i].is_trouble && counters[i].value > trouble_[i]) {
      spdlog::warn("{}: {} more, {} in all", counters[i].name, counters[i].value - trouble_[i],
                   counters[i].value);
      trouble_logged_at_ns_ = now;
    }
    trouble_[i] = counters[i].value;
  }
}

VmAnnouncement Agent::Announcement(const Vm& vm) {
  auto message = MakeMessage<VmMessage>(MessageType::kVm);
  message.vm_id = vm.record.vm_id;
  message.vm_index = vm.record.vm_index;
  message.pid = vm.record.process.pid;
  message.start_ticks = vm.record.process.start_ticks;
  message.generation = vm.record.generation;
  message.vcpu_count = vm.counts.seen;
  message.slot_count = LOCKHOST_MAX_SLOTS;
  message.source = chosen_.source->kind();
  message.reports_readable = vm.reports_readable ? 1 : 0;
  message.vsock_cid = vm.facts.vsock_cid;
  message.memory_bytes = vm.facts.memory_bytes;
  SetFieldText(message.accelerator, AcceleratorName(vm.facts.accelerator));
  SetFieldText(message.vmm, vm.facts.vmm);
  SetFieldText(message.name, vm.facts.name);
  SetFieldText(message.uuid, vm.facts.uuid);
  return {message, chosen_.source->TableFd(vm.record)};
}

void Agent::MarkChanged(const Vm& vm) {
  if (changed_.empty() && change_timer_ != nullptr) change_timer_->Set(kAnnounceAfter);
  changed_.insert(vm.record.vm_id);
}

void Agent::AnnounceChanged() {
  for (const uint64_t vm_id : std::exchange(changed_, {})) {
    const Vm* vm = registry_.Find(vm_id);
    if (vm != nullptr) channel_->AnnounceVm(Announcement(*vm));
  }
}

}  // namespace lockhost::agent
