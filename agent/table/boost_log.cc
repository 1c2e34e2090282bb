// SPDX-License-Identifier: Apache-2.0
#include "agent/table/boost_log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <type_traits>

#include "absl/status/status.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kMagic = 0x474f4c54'534f4f42;  // "BOOSTLOG"
constexpr uint64_t kVersion = 2;

static_assert(std::is_trivially_copyable_v<BoostRecord>);
using Words = std::array<uint64_t, sizeof(BoostRecord) / sizeof(uint64_t)>;
static_assert(sizeof(Words) == sizeof(BoostRecord));

}  // namespace

int64_t BudgetLeftNs(const BoostFigures& figures, uint64_t now_ns) {
  const uint64_t since = now_ns > figures.updated_at_ns ? now_ns - figures.updated_at_ns : 0;
  const double left = static_cast<double>(figures.budget_left_ns) +
                      figures.budget_share * static_cast<double>(since);
  return static_cast<int64_t>(std::min(left, static_cast<double>(figures.budget_burst_ns)));
}

// Each place is a record whose id, its first word, is 0 while the rest changes.
struct BoostLog {
  uint64_t magic;
  uint64_t version;
  uint64_t last_id;
  uint64_t reserved;
  Words places[BoostLogReader::kKept];
};

absl::StatusOr<BoostLogWriter> BoostLogWriter::Create() {
  auto memory = SealedMemory::Create("lockhost-boosts", sizeof(BoostLog));
  if (!memory.ok()) return memory.status();
  auto* log = static_cast<BoostLog*>(memory->data());
  log->magic = kMagic;
  log->version = kVersion;
  return BoostLogWriter(*std::move(memory));
}

void BoostLogWriter::Append(BoostRecord record) {
  auto* log = static_cast<BoostLog*>(memory_.data());
  record.id = ++last_id_;
  Words& place = log->places[record.id % BoostLogReader::kKept];
  const auto words = std::bit_cast<Words>(record);
  // The exchange keeps the stores behind it.
  std::atomic_ref(place[0]).exchange(0, std::memory_order_acq_rel);
  for (size_t i = 1; i < words.size(); ++i) {
    std::atomic_ref(place[i]).store(words[i], std::memory_order_relaxed);
  }
  std::atomic_ref(place[0]).store(record.id, std::memory_order_release);
  std::atomic_ref(log->last_id).store(record.id, std::memory_order_release);
}

absl::StatusOr<std::unique_ptr<BoostLogReader>> BoostLogReader::Attach(int fd) {
  auto view = SealedView::Map(fd, sizeof(BoostLog));
  if (!view.ok()) return view.status();
  const auto* log = static_cast<const BoostLog*>(view->data());
  if (log->magic != kMagic || log->version != kVersion) {
    return absl::InvalidArgumentError("no boost log, or one of another version");
  }
  return std::unique_ptr<BoostLogReader>(new BoostLogReader(*std::move(view)));
}

std::vector<BoostRecord> BoostLogReader::After(uint64_t id) const {
  auto* log = static_cast<BoostLog*>(const_cast<void*>(view_.data()));
  const uint64_t last = std::atomic_ref(log->last_id).load(std::memory_order_acquire);
  std::vector<BoostRecord> records;
  const uint64_t first = last > kKept ? last - kKept + 1 : 1;
  for (uint64_t next = std::max(id + 1, first); next <= last; ++next) {
    Words& place = log->places[next % kKept];
    Words words{};
    words[0] = std::atomic_ref(place[0]).load(std::memory_order_acquire);
    for (size_t i = 1; i < words.size(); ++i) {
      words[i] = std::atomic_ref(place[i]).load(std::memory_order_acquire);
    }
    const bool whole = std::atomic_ref(place[0]).load(std::memory_order_acquire) == next;
    if (whole && words[0] == next) records.push_back(std::bit_cast<BoostRecord>(words));
  }
  return records;
}

}  // namespace lockhost::agent
