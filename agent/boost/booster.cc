// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/booster.h"

#include <algorithm>

#include "client/page/report_page.h"

namespace lockhost::agent {
namespace {

// A released lock is noticed at the next look; more often would take the CPU from the holder.
constexpr uint64_t kLookEveryNs = 50'000;

// Of the time that passes, what surcharges may take at most: one part in so many of a CPU.
constexpr uint64_t kSurchargePart = 3;

bool IsHeir(const BoostRequest& request) { return request.asker == BoostAsker::kHeir; }

// A holder has released its lock as soon as the word is another one; an heir takes its own first.
bool IsThrough(const BoostRequest& request, uint64_t report_word) {
  if (report_word == request.report_word) return false;
  return !IsHeir(request) || (report_word & LOCKHOST_REPORT_HOLDER_MASK) == 0;
}

}  // namespace

Booster::Booster(const BoostLimits& limits, BoostMechanism mechanism, BoostPlatform* platform,
                 BoostLogWriter* log)
    : limits_(limits),
      mechanism_(mechanism),
      platform_(*platform),
      log_(*log),
      host_budget_(limits.host_share, limits.burst_ns) {}

void Booster::AddVm(uint64_t vm_id, uint32_t vm_index, uint64_t now_ns) {
  const auto [vm, added] = vms_.insert_or_assign(
      vm_index, Vm{.vm_id = vm_id, .budget = {limits_.vm_share, limits_.burst_ns}});
  Listen(vm_index, vm->second, now_ns);
}

void Booster::RemoveVm(uint32_t vm_index, uint64_t now_ns) {
  EndAllOf(vm_index, now_ns);
  if (vms_.erase(vm_index) == 0) return;
  platform_.ListenFrom(vm_index, UINT64_MAX, UINT64_MAX);
  changed_.insert(vm_index);
}

void Booster::SetVmEnabled(uint32_t vm_index, bool enabled, uint64_t now_ns) {
  const auto vm = vms_.find(vm_index);
  if (vm == vms_.end()) return;
  vm->second.enabled = enabled;
  if (!enabled) EndAllOf(vm_index, now_ns);
  Listen(vm_index, vm->second, now_ns);
}

void Booster::SetEnabled(bool enabled, uint64_t now_ns) {
  enabled_ = enabled;
  if (!enabled) EndAllOf(std::nullopt, now_ns);
  for (auto& [vm_index, vm] : vms_) Listen(vm_index, vm, now_ns);
}

void Booster::SetRepays(uint32_t vm_index, bool repays, uint64_t now_ns) {
  const auto vm = vms_.find(vm_index);
  if (vm == vms_.end()) return;
  vm->second.repays = repays;
  const double unpaid = std::min(limits_.vm_share, limits_.unpaid_vm_share);
  vm->second.budget.SetShare(now_ns, repays ? limits_.vm_share : unpaid);
  Listen(vm_index, vm->second, now_ns);
}

// What could not be granted is not even to wake us.
void Booster::Listen(uint32_t vm_index, Vm& vm, uint64_t now_ns) {
  const bool on = enabled_ && vm.enabled && mechanism_ != BoostMechanism::kNone;
  const auto from = [&](uint64_t needed_ns) {
    if (!on) return UINT64_MAX;
    return std::max(vm.budget.FilledAt(now_ns, needed_ns),
                    host_budget_.FilledAt(now_ns, needed_ns));
  };
  platform_.ListenFrom(vm_index, from(limits_.longest_ns), from(limits_.burst_ns / 2));
  vm.figures.enabled = on;
  vm.figures.repays = vm.repays;
  vm.figures.budget_left_ns = static_cast<int64_t>(vm.budget.left_ns(now_ns));
  vm.figures.budget_share = vm.budget.share();
  vm.figures.budget_burst_ns = vm.budget.burst_ns();
  vm.figures.updated_at_ns = now_ns;
  changed_.insert(vm_index);
}

bool Booster::IsBoosted(const BoostRequest& request) const {
  return std::any_of(boosts_.begin(), boosts_.end(), [&](const Boost& boost) {
    return boost.request.vm_id == request.vm_id && boost.request.vcpu_id == request.vcpu_id;
  });
}

std::optional<BoostDenial> Booster::WhyNot(const BoostRequest& request, Vm& vm, uint64_t now_ns) {
  if (!enabled_ || !vm.enabled || mechanism_ == BoostMechanism::kNone) return BoostDenial::kOff;
  if (platform_.StateWord(request.vm_index, request.vcpu_id) != request.state_word ||
      lockhost_state_of(request.state_word) != LOCKHOST_RUN_STATE_PREEMPTED) {
    return BoostDenial::kStale;
  }
  const auto granted = vm.granted.find(request.vcpu_id);
  if (granted != vm.granted.end() && granted->second == request.state_word) {
    return BoostDenial::kAgain;
  }
  const auto needed =
      static_cast<double>(IsHeir(request) ? limits_.burst_ns / 2 : limits_.longest_ns);
  if (vm.budget.left_ns(now_ns) < needed) return BoostDenial::kVmBudget;
  if (host_budget_.left_ns(now_ns) < needed) return BoostDenial::kHostBudget;
  if (!MakeRoom(request, now_ns)) return BoostDenial::kAtOnce;
  return std::nullopt;
}

// For one more; an heir gives way to a holder.
bool Booster::MakeRoom(const BoostRequest& request, uint64_t now_ns) {
  if (boosts_.size() < limits_.at_once) return true;
  const auto heir = std::find_if(boosts_.begin(), boosts_.end(),
                                 [](const Boost& boost) { return IsHeir(boost.request); });
  if (IsHeir(request) || heir == boosts_.end()) return false;
  End(*heir, BoostEnd::kStopped, now_ns);
  boosts_.erase(heir);
  return true;
}

void Booster::Deny(const BoostRequest& request, Vm& vm, BoostDenial denial) {
  changed_.insert(request.vm_index);
  ++vm.figures.denied[static_cast<size_t>(request.asker)][static_cast<size_t>(denial)];
}

void Booster::Request(const BoostRequest& request, uint64_t now_ns) {
  const auto found = vms_.find(request.vm_index);
  if (found == vms_.end() || found->second.vm_id != request.vm_id) return;  // it has just gone
  Vm& vm = found->second;
  if (IsBoosted(request)) return;  // told twice, by BPF and by the guest
  if (const auto denial = WhyNot(request, vm, now_ns)) return Deny(request, vm, *denial);
  const int32_t tid = platform_.Owner(request.vm_index, request.vcpu_id);
  if (tid == 0) return Deny(request, vm, BoostDenial::kStale);
  const absl::Status raised = platform_.Raise(request.vm_index, tid);
  if (absl::IsFailedPrecondition(raised)) return Deny(request, vm, BoostDenial::kNotOrdinary);
  if (!raised.ok()) return Deny(request, vm, BoostDenial::kRefused);
  vm.granted[request.vcpu_id] = request.state_word;
  boosts_.push_back({.request = request, .tid = tid, .raised_at_ns = now_ns});
  // A guest is not asked for times: the table has them, of this very state.
  uint64_t& preempted_at_ns = boosts_.back().request.at_ns;
  if (preempted_at_ns == 0) {
    preempted_at_ns = std::min(platform_.SinceNs(request.vm_index, request.vcpu_id), now_ns);
  }
  // The tid was the vCPU's before; it must be so after, or somebody else was meant.
  if (platform_.Owner(request.vm_index, request.vcpu_id) == tid) return;
  End(boosts_.back(), BoostEnd::kGone, now_ns);
  boosts_.pop_back();
}

std::optional<BoostEnd> Booster::IsOver(Boost& boost, uint64_t now_ns) {
  const BoostRequest& request = boost.request;
  if (platform_.Owner(request.vm_index, request.vcpu_id) != boost.tid) return BoostEnd::kGone;
  const uint64_t word = platform_.StateWord(request.vm_index, request.vcpu_id);
  const uint32_t state = lockhost_state_of(word);
  boost.has_run |= word != request.state_word;
  if (state == LOCKHOST_RUN_STATE_RUNNING && boost.running_at_ns == 0) {
    boost.running_at_ns = platform_.SinceNs(request.vm_index, request.vcpu_id);
  }
  if (state == LOCKHOST_RUN_STATE_HALTED || state == LOCKHOST_RUN_STATE_EXITED) {
    return BoostEnd::kHalted;
  }
  if (boost.has_run && request.report_word != 0) {
    const auto report = platform_.ReportWord(request.vm_index, request.vcpu_id);
    if (report && IsThrough(request, *report)) return BoostEnd::kReleased;
  }
  if (now_ns >= boost.raised_at_ns + limits_.longest_ns) return BoostEnd::kTimedOut;
  return std::nullopt;
}

uint64_t Booster::Look(uint64_t now_ns) {
  uint64_t next = UINT64_MAX;
  std::erase_if(boosts_, [&](Boost& boost) {
    if (const auto end = IsOver(boost, now_ns)) {
      End(boost, *end, now_ns);
      return true;
    }
    next = std::min({next, now_ns + kLookEveryNs, boost.raised_at_ns + limits_.longest_ns});
    return false;
  });
  return next;
}

// What it waited for others at its own priority costs nobody anything. Where it ran and it is
// not known from when on (it has stopped again), all of the boost counts.
uint64_t Booster::UsedNs(const Boost& boost, uint64_t now_ns) {
  if (!boost.has_run) return 0;
  const uint64_t from = std::max(boost.running_at_ns, boost.raised_at_ns);
  return now_ns > from ? now_ns - from : 0;
}

// A VM cannot have slept for longer than there was time: one that is boosted all the time would
// otherwise owe more than it can ever pay.
uint64_t Booster::SurchargeNs(Vm& vm, uint64_t now_ns) const {
  const uint64_t passed = now_ns - std::exchange(vm.surcharged_at_ns, now_ns);
  return std::min(limits_.surcharge_ns, passed / kSurchargePart);
}

void Booster::End(const Boost& boost, BoostEnd end, uint64_t now_ns) {
  platform_.Restore(boost.tid, end != BoostEnd::kGone && end != BoostEnd::kStopped);
  log_.Append({.vm_id = boost.request.vm_id,
               .vcpu_id = boost.request.vcpu_id,
               .end = end,
               .asker = boost.request.asker,
               .preempted_at_ns = boost.request.at_ns,
               .raised_at_ns = boost.raised_at_ns,
               .running_at_ns = boost.running_at_ns,
               .ended_at_ns = now_ns});
  const auto found = vms_.find(boost.request.vm_index);
  if (found == vms_.end()) return;
  Vm& vm = found->second;
  const uint64_t used = UsedNs(boost, now_ns);
  ++vm.figures.ended[static_cast<size_t>(boost.request.asker)][static_cast<size_t>(end)];
  vm.figures.boosted_ns += used;
  vm.budget.Take(now_ns, used);
  host_budget_.Take(now_ns, used);
  if (vm.repays && used != 0) {
    platform_.Charge(boost.request.vm_index, boost.tid, used + SurchargeNs(vm, now_ns), now_ns);
  }
  Listen(boost.request.vm_index, vm, now_ns);
}

void Booster::EndAllOf(std::optional<uint32_t> vm_index, uint64_t now_ns) {
  std::erase_if(boosts_, [&](const Boost& boost) {
    if (vm_index && boost.request.vm_index != *vm_index) return false;
    End(boost, BoostEnd::kStopped, now_ns);
    return true;
  });
}

BoostFigures Booster::Figures(uint32_t vm_index) const {
  const auto vm = vms_.find(vm_index);
  return vm == vms_.end() ? BoostFigures{} : vm->second.figures;
}

}  // namespace lockhost::agent
