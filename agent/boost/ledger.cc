// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/ledger.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <span>
#include <utility>

#include "absl/status/status.h"

namespace lockhost::agent {

struct Ledger::Slot {
  uint32_t in_use;  // stored last when an entry is made, first when it is cleared
  uint32_t reserved;
  LedgerEntry entry;
};

namespace {

UniqueFd OpenFile(const std::string& path) {
  if (path.empty()) return UniqueFd(memfd_create("lockhost-ledger", MFD_CLOEXEC));
  return UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

}  // namespace

absl::StatusOr<Ledger> Ledger::Open(const std::string& path) {
  constexpr size_t kBytes = sizeof(Slot) * kEntries;
  const UniqueFd file = OpenFile(path);
  struct stat status {};
  if (!file.valid() || fstat(file.get(), &status) != 0) {
    return absl::ErrnoToStatus(errno, "open the boost ledger " + path);
  }
  if (!S_ISREG(status.st_mode) || (status.st_size != 0 && status.st_size != kBytes)) {
    return absl::InvalidArgumentError(path + " is no boost ledger of this version");
  }
  if (ftruncate(file.get(), kBytes) != 0) return absl::ErrnoToStatus(errno, "size " + path);
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "map " + path);
  return Ledger(static_cast<Slot*>(memory));
}

Ledger::Ledger(Ledger&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
Ledger& Ledger::operator=(Ledger&& other) noexcept {
  std::swap(slots_, other.slots_);
  return *this;
}
Ledger::~Ledger() {
  if (slots_ != nullptr) munmap(slots_, sizeof(Slot) * kEntries);
}

int Ledger::Enter(const LedgerEntry& entry) {
  for (int i = 0; i < kEntries; ++i) {
    if (slots_[i].in_use) continue;
    slots_[i].entry = entry;
    std::atomic_ref(slots_[i].in_use).store(1, std::memory_order_release);
    return i;
  }
  return -1;
}

void Ledger::SetStart(int index, uint64_t start_ticks) {
  std::atomic_ref(slots_[index].entry.start_ticks).store(start_ticks, std::memory_order_release);
}

void Ledger::Clear(int index) {
  std::atomic_ref(slots_[index].in_use).store(0, std::memory_order_release);
}

int Ledger::Undo(const Procfs& procfs) {
  int restored = 0;
  for (int i = 0; i < kEntries; ++i) {
    if (!slots_[i].in_use) continue;
    const LedgerEntry& entry = slots_[i].entry;
    const auto stat = procfs.ThreadStat(entry.tgid, entry.tid);
    if (stat && (entry.start_ticks == 0 || stat->start_ticks == entry.start_ticks) &&
        SetScheduling(entry.tid, entry.ordinary).ok()) {
      ++restored;
    }
    Clear(i);
  }
  return restored;
}

}  // namespace lockhost::agent
