// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_BOOSTER_H_
#define LOCKHOST_AGENT_BOOST_BOOSTER_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "agent/boost/budget.h"
#include "agent/boost/mechanism.h"
#include "agent/table/boost_log.h"

namespace lockhost::agent {

struct BoostLimits {
  uint64_t longest_ns = 200'000;  // of one boost, from 20 us to 2 ms
  double vm_share = 0.05;         // of one CPU, that a VM may use on average
  double unpaid_vm_share = 0.01;  // the same for one that cannot be made to pay it back
  double host_share = 0.05;       // the same for all VMs together, of one CPU
  uint64_t burst_ns = 10'000'000;
  // What a VM makes up for with each boost besides the time that the vCPU ran: without the boost
  // its vCPUs would have slept while they waited for the holder, and others would have had that.
  uint64_t surcharge_ns = 8'000'000;
  uint32_t at_once = 1;  // boosted threads; fewer than CPUs, so that one is left for the rest
};

// A preempted vCPU that holds a lock somebody waits for, as BPF or lockhostd tells; or one that
// is to take it on behalf of those who sleep.
struct BoostRequest {
  uint64_t vm_id = 0;
  uint32_t vm_index = 0;
  uint32_t vcpu_id = 0;
  BoostAsker asker = BoostAsker::kDirect;
  uint64_t state_word = 0;   // of that preemption; anything later makes the request stale
  uint64_t report_word = 0;  // of the lock that it held, an heir's: before it; 0: not known
  uint64_t at_ns = 0;        // when it was preempted; 0: not known
};

// What the booster does to the world. `vm_index` is that of a VM that was added.
class BoostPlatform {
 public:
  virtual ~BoostPlatform() = default;
  virtual uint64_t StateWord(uint32_t vm_index, uint32_t vcpu_id) = 0;
  // Since when that state holds.
  virtual uint64_t SinceNs(uint32_t vm_index, uint32_t vcpu_id) = 0;
  // The thread that runs the vCPU, as the scheduler's own tracepoints know it; 0: none.
  virtual int32_t Owner(uint32_t vm_index, uint32_t vcpu_id) = 0;
  // nullopt: not readable.
  virtual std::optional<uint64_t> ReportWord(uint32_t vm_index, uint32_t vcpu_id) = 0;
  // From then on the kernel tells of this VM's preempted holders, and of its heirs; UINT64_MAX:
  // never.
  virtual void ListenFrom(uint32_t vm_index, uint64_t from_ns, uint64_t heirs_from_ns) = 0;
  // Boosts that thread; what it takes to undo it is kept for Restore(). NOT_FOUND: it has
  // gone; FAILED_PRECONDITION: it is no ordinary thread.
  virtual absl::Status Raise(uint32_t vm_index, int32_t tid) = 0;
  // `surely_there`: the thread was the vCPU's a moment ago, so it need not be looked for.
  virtual void Restore(int32_t tid, bool surely_there) = 0;
  // The thread was boosted for so long and is to make up for it.
  virtual void Charge(uint32_t vm_index, int32_t tid, uint64_t used_ns, uint64_t now_ns) = 0;
};

// Decides who is boosted and for how long. Holders come before heirs, which leave them half of
// the budget, and their place. A boost ends at the earliest of: the lock was
// released, the vCPU halted or went, the time limit. One boost a preemption, and none that
// is not paid for. Holders that keep each other off a CPU cannot take turns: boosted threads
// do not preempt each other.
//
// Pure but for its platform. Not thread-safe.
class Booster {
 public:
  // `platform` and `log` must outlive it.
  Booster(const BoostLimits& limits, BoostMechanism mechanism, BoostPlatform* platform,
          BoostLogWriter* log);

  void AddVm(uint64_t vm_id, uint32_t vm_index, uint64_t now_ns);
  // Ends its boosts; none comes after.
  void RemoveVm(uint32_t vm_index, uint64_t now_ns);
  // Of one VM, or of all: the off switch.
  void SetVmEnabled(uint32_t vm_index, bool enabled, uint64_t now_ns);
  void SetEnabled(bool enabled, uint64_t now_ns);
  // Whether what it is boosted for can be collected from the VM, as is believed at first.
  // Otherwise it may use less, and that is all that its neighbours lose.
  void SetRepays(uint32_t vm_index, bool repays, uint64_t now_ns);

  void Request(const BoostRequest& request, uint64_t now_ns);
  // Ends what is over; returns when to look again, UINT64_MAX: not before another request.
  uint64_t Look(uint64_t now_ns);

  size_t active() const { return boosts_.size(); }
  // Zeros for an index without a VM; debt_ns is the platform's to say.
  BoostFigures Figures(uint32_t vm_index) const;
  // Indices whose figures are not what they were at the last call.
  std::set<uint32_t> TakeChanged() { return std::exchange(changed_, {}); }

 private:
  struct Vm {
    uint64_t vm_id;
    bool enabled = true;
    bool repays = true;
    BoostBudget budget;
    BoostFigures figures{};
    uint64_t surcharged_at_ns = 0;
    std::map<uint32_t, uint64_t> granted{};  // by vCPU: the preemption it was boosted for
  };
  struct Boost {
    BoostRequest request;
    int32_t tid;
    uint64_t raised_at_ns;
    uint64_t running_at_ns = 0;  // back on a CPU; 0: not known
    bool has_run = false;
  };

  std::optional<BoostDenial> WhyNot(const BoostRequest& request, Vm& vm, uint64_t now_ns);
  bool MakeRoom(const BoostRequest& request, uint64_t now_ns);
  bool IsBoosted(const BoostRequest& request) const;
  void Deny(const BoostRequest& request, Vm& vm, BoostDenial denial);
  void Listen(uint32_t vm_index, Vm& vm, uint64_t now_ns);
  std::optional<BoostEnd> IsOver(Boost& boost, uint64_t now_ns);
  void End(const Boost& boost, BoostEnd end, uint64_t now_ns);
  static uint64_t UsedNs(const Boost& boost, uint64_t now_ns);
  uint64_t SurchargeNs(Vm& vm, uint64_t now_ns) const;
  void EndAllOf(std::optional<uint32_t> vm_index, uint64_t now_ns);

  const BoostLimits limits_;
  const BoostMechanism mechanism_;
  BoostPlatform& platform_;
  BoostLogWriter& log_;
  bool enabled_ = true;
  BoostBudget host_budget_;
  std::map<uint32_t, Vm> vms_;  // by vm_index
  std::vector<Boost> boosts_;   // at most limits_.at_once
  std::set<uint32_t> changed_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_BOOSTER_H_
