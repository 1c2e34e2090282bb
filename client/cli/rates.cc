// SPDX-License-Identifier: Apache-2.0
#include "client/cli/rates.h"

#include <utility>

namespace lockhost::cli {

std::optional<Rates> RateMeter::Between(const Counters& then, const Counters& now,
                                        uint64_t elapsed_ns) {
  if (elapsed_ns == 0 || now.steal_ns < then.steal_ns || now.preemptions < then.preemptions ||
      now.lock_holder_preemptions < then.lock_holder_preemptions) {
    return std::nullopt;
  }
  const double seconds = static_cast<double>(elapsed_ns) / 1e9;
  return Rates{.steal = static_cast<double>(now.steal_ns - then.steal_ns) / 1e9 / seconds,
               .preemptions = static_cast<double>(now.preemptions - then.preemptions) / seconds,
               .lock_holder_preemptions =
                   static_cast<double>(now.lock_holder_preemptions - then.lock_holder_preemptions) /
                   seconds};
}

void RateMeter::Observe(uint64_t vm_id, uint64_t generation,
                        const google::protobuf::RepeatedPtrField<v1::VcpuHint>& vcpus,
                        uint64_t now_ns, uint64_t boosts) {
  const Seen before = std::exchange(vms_[vm_id], {});
  Seen& seen = vms_[vm_id];
  seen.generation = generation;
  seen.at_ns = now_ns;
  seen.boosts = boosts;
  if (now_ns > before.at_ns && boosts >= before.boosts) {
    seen.boost_rate = static_cast<double>(boosts - before.boosts) * 1e9 /
                      static_cast<double>(now_ns - before.at_ns);
  }
  for (const v1::VcpuHint& vcpu : vcpus) {
    const Counters now{vcpu.steal_ns(), vcpu.preemptions(), vcpu.lock_holder_preemptions()};
    seen.counters[vcpu.vcpu_id()] = now;
    const auto then = before.counters.find(vcpu.vcpu_id());
    if (before.generation != generation || then == before.counters.end()) continue;
    if (const auto rates = Between(then->second, now, now_ns - before.at_ns)) {
      seen.rates[vcpu.vcpu_id()] = *rates;
    }
  }
}

void RateMeter::DropOthers(uint64_t now_ns) {
  std::erase_if(vms_, [now_ns](const auto& vm) { return vm.second.at_ns != now_ns; });
}

std::optional<Rates> RateMeter::OfVcpu(uint64_t vm_id, uint32_t vcpu_id) const {
  const auto vm = vms_.find(vm_id);
  if (vm == vms_.end()) return std::nullopt;
  const auto rates = vm->second.rates.find(vcpu_id);
  return rates == vm->second.rates.end() ? std::nullopt : std::optional(rates->second);
}

std::optional<Rates> RateMeter::OfVm(uint64_t vm_id) const {
  const auto vm = vms_.find(vm_id);
  if (vm == vms_.end() || vm->second.rates.empty()) return std::nullopt;
  Rates sum;
  sum.boosts = vm->second.boost_rate;
  for (const auto& [vcpu_id, rates] : vm->second.rates) {
    sum.steal += rates.steal;
    sum.preemptions += rates.preemptions;
    sum.lock_holder_preemptions += rates.lock_holder_preemptions;
  }
  return sum;
}

}  // namespace lockhost::cli
