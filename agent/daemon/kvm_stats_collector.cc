// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/kvm_stats_collector.h"

#include <algorithm>
#include <utility>

namespace lockhost::agent {
namespace {

constexpr uint64_t kReadEveryNs = 10'000'000'000;
constexpr uint64_t kLookAgainFirstNs = 1'000'000'000, kLookAgainLastNs = 64'000'000'000;

}  // namespace

bool KvmStatsCollector::IsToLook(uint64_t now_ns, const Vm& vm, const Followed& followed) {
  if (vm.counts.seen != followed.looked_for_vcpus) return true;
  const size_t files = followed.reader == nullptr ? 0 : followed.reader->vcpus();
  return files < vm.counts.seen && now_ns >= followed.look_again_at_ns;
}

void KvmStatsCollector::Look(uint64_t now_ns, const Vm& vm, Followed* followed) {
  const bool again = vm.counts.seen == followed->looked_for_vcpus;
  followed->look_again_after_ns =
      again ? std::min(2 * followed->look_again_after_ns, kLookAgainLastNs) : kLookAgainFirstNs;
  followed->look_again_at_ns = now_ns + followed->look_again_after_ns;
  followed->looked_for_vcpus = vm.counts.seen;
  followed->read_at_ns = 0;
  auto reader = KvmStatsReader::Open(*procfs_, vm.record.process, counts_);
  if (reader.ok()) followed->reader = *std::move(reader);
}

void KvmStatsCollector::Collect(uint64_t now_ns, VmRegistry& registry) {
  for (const auto& [vm_id, vm] : registry.vms()) {
    if (registry.OfProcess(vm.record.process).size() > 1) continue;  // whose are they?
    Followed& followed = vms_[vm_id];
    if (IsToLook(now_ns, vm, followed)) Look(now_ns, vm, &followed);
    if (followed.reader == nullptr) continue;
    if (followed.read_at_ns != 0 && now_ns - followed.read_at_ns < kReadEveryNs) continue;
    followed.read_at_ns = now_ns;
    const auto stats = followed.reader->Read();
    followed.sums = stats.ok() ? stats->sums : KvmStatValues{};
  }
}

KvmStatValues KvmStatsCollector::Of(uint64_t vm_id) const {
  const auto vm = vms_.find(vm_id);
  return vm == vms_.end() ? KvmStatValues{} : vm->second.sums;
}

}  // namespace lockhost::agent
