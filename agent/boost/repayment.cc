// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/repayment.h"

#include <algorithm>

namespace lockhost::agent {
namespace {

constexpr uint64_t kLookEveryNs = 20'000'000;
constexpr double kWorthCollectingNs = 1'000'000;
// What could not be collected for so long is let go; the budget has bounded it.
constexpr double kMostOwedNs = 100'000'000;
constexpr double kAlone = 0.98;  // share of the time it wants from which on a thread is alone

std::optional<ProcSchedstat> Read(const UniqueFd& file) { return ParseSchedstat(ReadAgain(file)); }

}  // namespace

double MadeUpNs(double run_ns, double wanted_ns, double weight_ratio) {
  if (wanted_ns <= 0) return 0;
  const double had = run_ns / wanted_ns;
  if (had >= kAlone) return run_ns;
  // With weight w among others of weight W: due w/(w+W), had rw/(rw+W).
  const double due = had / (weight_ratio + (1 - weight_ratio) * had);
  return (due - had) * wanted_ns / (1 - due);
}

double OwedAfterNs(double owed_ns, double run_ns, double waited_ns, double weight_ratio) {
  return std::max(owed_ns - MadeUpNs(run_ns, run_ns + waited_ns, weight_ratio), -waited_ns);
}

void Repayment::Charge(uint32_t vm_index, pid_t tgid, pid_t tid, uint64_t used_ns,
                       uint64_t now_ns) {
  if (used_ns == 0) return;
  Debtor& debtor = debtors_.try_emplace(tid, Debtor{vm_index, tgid}).first->second;
  // The tid was another thread's, which has ended since.
  if (debtor.vm_index != vm_index || debtor.tgid != tgid) debtor = Debtor{vm_index, tgid};
  debtor.owed_ns = std::min(debtor.owed_ns + static_cast<double>(used_ns), kMostOwedNs);
  if (debtor.owed_ns >= kWorthCollectingNs) {
    look_at_ns_ = std::min(look_at_ns_, now_ns + kLookEveryNs);
  }
}

bool Repayment::Begin(pid_t tid, Debtor& debtor) {
  debtor.schedstat = procfs_.OpenThreadFile(debtor.tgid, tid, "schedstat");
  const auto before = Read(debtor.schedstat);
  if (!before || !control_.HoldBack(debtor.tgid, tid).ok()) return false;
  debtor.before = before;
  return true;
}

// True where nothing is to be had any more.
bool Repayment::IsLost(pid_t tid, Debtor& debtor) {
  if (control_.IsBoosted(tid)) return false;
  if (!debtor.before) {
    return debtor.owed_ns >= kWorthCollectingNs && !Begin(tid, debtor);
  }
  const auto now = Read(debtor.schedstat);
  if (!now) return true;
  const auto run = static_cast<double>(now->run_ns - debtor.before->run_ns);
  const auto waited = static_cast<double>(now->delay_ns - debtor.before->delay_ns);
  debtor.owed_ns = OwedAfterNs(debtor.owed_ns, run, waited, control_.WeightRatio(tid));
  debtor.before = now;
  if (debtor.owed_ns <= 0) {
    control_.EndHoldBack(tid);
    debtor.before.reset();
  }
  return false;
}

uint64_t Repayment::Look(uint64_t now_ns) {
  if (now_ns < look_at_ns_) return look_at_ns_;
  bool collecting = false;
  for (auto entry = debtors_.begin(); entry != debtors_.end();) {
    auto& [tid, debtor] = *entry;
    changed_.insert(debtor.vm_index);
    if (IsLost(tid, debtor)) {
      control_.EndHoldBack(tid);
      entry = debtors_.erase(entry);
      continue;
    }
    collecting |= debtor.owed_ns >= kWorthCollectingNs || debtor.before.has_value();
    ++entry;
  }
  look_at_ns_ = collecting ? now_ns + kLookEveryNs : UINT64_MAX;
  return look_at_ns_;
}

void Repayment::Forget(uint32_t vm_index) {
  std::erase_if(debtors_, [&](auto& entry) {
    if (entry.second.vm_index != vm_index) return false;
    control_.EndHoldBack(entry.first);
    return true;
  });
}

uint64_t Repayment::OwedNs(uint32_t vm_index) const {
  double owed = 0;
  for (const auto& [tid, debtor] : debtors_) {
    if (debtor.vm_index == vm_index) owed += std::max(debtor.owed_ns, 0.0);
  }
  return static_cast<uint64_t>(owed);
}

}  // namespace lockhost::agent
