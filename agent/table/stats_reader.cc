// SPDX-License-Identifier: Apache-2.0
#include "agent/table/stats_reader.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>

namespace lockhost::agent {
namespace {

using Words = std::array<uint64_t, sizeof(lockhost_vcpu_stats) / sizeof(uint64_t)>;

uint64_t Load(const uint64_t& word) {
  return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(word)).load(std::memory_order_acquire);
}

}  // namespace

absl::StatusOr<std::unique_ptr<StatsReader>> StatsReader::Attach(int fd) {
  auto view = SealedView::Map(fd, sizeof(lockhost_vcpu_stats) * LOCKHOST_MAX_VCPU_STATS);
  if (!view.ok()) return view.status();
  return std::unique_ptr<StatsReader>(new StatsReader(*std::move(view)));
}

const lockhost_vcpu_stats& StatsReader::record(uint32_t index) const {
  return static_cast<const lockhost_vcpu_stats*>(view_.data())[index];
}

std::vector<StatsReader::Place> StatsReader::Places() const {
  std::vector<Place> places;
  for (uint32_t index = 1; index < LOCKHOST_MAX_VCPU_STATS; ++index) {
    const uint64_t vm_id = Load(record(index).vm_id);
    if (vm_id != 0) places.push_back({vm_id, index});
  }
  return places;
}

lockhost_vcpu_stats StatsReader::Read(const Place& place) const {
  if (place.index >= LOCKHOST_MAX_VCPU_STATS) return {};
  const auto* words = reinterpret_cast<const uint64_t*>(&record(place.index));
  Words copy;
  for (size_t i = 0; i < copy.size(); ++i) copy[i] = Load(words[i]);
  const auto stats = std::bit_cast<lockhost_vcpu_stats>(copy);
  return stats.vm_id == place.vm_id ? stats : lockhost_vcpu_stats{};
}

VcpuTimes TimesAt(const VcpuObservation& slot, const lockhost_vcpu_stats& books, uint64_t now_ns) {
  VcpuTimes times{books.run_ns, slot.steal_ns, books.halted_ns, books.exited_ns};
  const uint64_t lasts_ns = now_ns > slot.since_ns ? now_ns - slot.since_ns : 0;
  switch (slot.run_state()) {
    case LOCKHOST_RUN_STATE_RUNNING:
      times.run_ns += lasts_ns;
      break;
    case LOCKHOST_RUN_STATE_PREEMPTED:
      times.steal_ns += lasts_ns;
      break;
    case LOCKHOST_RUN_STATE_HALTED:
      times.halted_ns += lasts_ns;
      break;
    case LOCKHOST_RUN_STATE_EXITED:
      times.exited_ns += lasts_ns;
      break;
    default:
      break;
  }
  return times;
}

VcpuBooks ReadBooks(const TableReader& table, const StatsReader& stats,
                    const StatsReader::Place& place) {
  VcpuBooks books;
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    books.stats = stats.Read(place);
    books.slot = table.Read(books.stats.vcpu_id);
    const lockhost_vcpu_stats again = stats.Read(place);
    if (again.switch_outs == books.stats.switch_outs && again.run_ns == books.stats.run_ns &&
        table.ReadStateWord(again.vcpu_id) == books.slot.state_word) {
      break;
    }
  }
  return books;
}

}  // namespace lockhost::agent
