// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/boosts.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "agent/kernel/cpu_cgroup.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kShortestNs = 20'000;
constexpr uint64_t kLongestNs = 2'000'000;
constexpr uint64_t kLargestSurchargeNs = 20'000'000;

absl::Status CheckLimits(const BoostLimits& limits) {
  if (limits.longest_ns < kShortestNs || limits.longest_ns > kLongestNs) {
    return absl::InvalidArgumentError("a boost may last 20 us to 2 ms");
  }
  if (limits.surcharge_ns > kLargestSurchargeNs) {
    return absl::InvalidArgumentError("the surcharge of a boost is at most 20 ms");
  }
  for (const double share : {limits.vm_share, limits.host_share}) {
    if (!(share > 0 && share <= 0.5)) {
      return absl::InvalidArgumentError("a boost share is above 0 and at most 0.5");
    }
  }
  return absl::OkStatus();
}

// One CPU is always left to whoever else wants to run, where there is more than one.
BoostLimits ForThisHost(BoostLimits limits) {
  const auto cpus = std::max(1L, sysconf(_SC_NPROCESSORS_ONLN));
  limits.at_once = static_cast<uint32_t>(std::max(1L, cpus - 1));
  limits.host_share *= static_cast<double>(cpus);
  return limits;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Boosts>> Boosts::Create(const BoostOptions& options, Clock clock) {
  if (absl::Status checked = CheckLimits(options.limits); !checked.ok()) return checked;
  // The kernel's own: threads are looked up to be changed.
  auto procfs = Procfs::Open();
  if (!procfs.ok()) return procfs.status();
  std::unique_ptr<Boosts> boosts(
      new Boosts(*std::move(procfs), ForThisHost(options.limits), clock));
  if (options.mechanism == NameOf(BoostMechanism::kNone)) {
    boosts->reason_ = "switched off";
    return boosts;
  }
  if (absl::Status status = boosts->Prepare(options); !status.ok()) return status;
  return boosts;
}

absl::Status Boosts::Prepare(const BoostOptions& options) {
  auto ledger = Ledger::Open(options.ledger_path);
  if (!ledger.ok()) return ledger.status();
  ledger_ = *std::move(ledger);
  undone_ = ledger_->Undo(procfs_);
  auto helper = UndoHelper::Start(&*ledger_, &procfs_);
  if (!helper.ok()) return helper.status();
  helper_ = *std::move(helper);
  const auto mechanism = ChooseMechanism(options.mechanism);
  if (!mechanism.ok()) return mechanism.status();
  chosen_ = mechanism->mechanism;
  reason_ = mechanism->reason;
  return absl::OkStatus();
}

void Boosts::Use(Source* source) {
  thread_.reset();
  const auto feed = source == nullptr ? std::nullopt : source->boost_feed();
  if (chosen_ == BoostMechanism::kNone) return;
  if (!feed) {
    reason_ = "the source of run states does not see lock holders";
    return;
  }
  auto thread = BoostThread::Start(*feed, limits_, chosen_, &*ledger_, &procfs_, clock_);
  if (!thread.ok()) {
    reason_ = std::string(thread.status().message());
    return;
  }
  thread_ = *std::move(thread);
  thread_->SetEnabled(std::nullopt, enabled_);
}

BoostMechanism Boosts::mechanism() const {
  return thread_ == nullptr ? BoostMechanism::kNone : chosen_;
}

void Boosts::AddVm(const Vm& vm) {
  if (thread_ != nullptr) thread_->AddVm(vm.record.vm_id, vm.record.vm_index, vm.table);
}

void Boosts::RemoveVm(const VmRecord& record) {
  if (thread_ != nullptr) thread_->RemoveVm(record.vm_index);
}

absl::Status Boosts::SetEnabled(std::optional<uint32_t> vm_index, bool enabled) {
  if (thread_ == nullptr) return absl::FailedPreconditionError("no boosts here: " + reason_);
  if (!vm_index) enabled_ = enabled;
  thread_->SetEnabled(vm_index, enabled);
  return absl::OkStatus();
}

void Boosts::LookAtCgroup(const Vm& vm, const std::string& sysfs_root) {
  if (thread_ == nullptr) return;
  const uint32_t vm_index = vm.record.vm_index;
  const int32_t tid = thread_->SomeVcpuThread(vm_index);
  if (tid == 0) return;
  const auto alone = HasCpuCgroupToItself(procfs_, sysfs_root, vm.record.process.pid, tid);
  const bool repays = !alone.value_or(false);
  if (repays != (thread_->Figures(vm_index).repays != 0)) thread_->SetRepays(vm_index, repays);
}

BoostFigures Boosts::Figures(uint32_t vm_index) const {
  return thread_ == nullptr ? BoostFigures{} : thread_->Figures(vm_index);
}

absl::StatusOr<int> UndoBoosts(const std::string& ledger_path) {
  auto procfs = Procfs::Open();
  if (!procfs.ok()) return procfs.status();
  auto ledger = Ledger::Open(ledger_path);
  if (!ledger.ok()) return ledger.status();
  return ledger->Undo(*procfs);
}

}  // namespace lockhost::agent
