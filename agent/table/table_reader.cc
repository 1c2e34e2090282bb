// SPDX-License-Identifier: Apache-2.0
#include "agent/table/table_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lockhost::agent {
namespace {

uint64_t Load(const uint64_t& word, std::memory_order order) {
  return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(word)).load(order);
}

bool IsBpfMap(int fd) {
  char target[64];
  const ssize_t size = readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), target, sizeof(target));
  return size > 0 && std::string_view(target, static_cast<size_t>(size)) == "anon_inode:bpf-map";
}

// A file that can shrink would turn a read into SIGBUS; one that others may map
// writable could say anything. A BPF map can do neither once it is frozen, and mmap
// itself refuses to map more than it has.
absl::Status CheckDescriptor(int fd, size_t bytes) {
  struct stat status;
  if (fstat(fd, &status) != 0) return absl::ErrnoToStatus(errno, "look at a table");
  if (IsBpfMap(fd)) return absl::OkStatus();
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError("a table is a BPF map or a memfd");
  }
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return absl::InvalidArgumentError("a table's file is a memfd");
  constexpr int kNeeded = F_SEAL_SHRINK | F_SEAL_GROW;
  if ((seals & kNeeded) != kNeeded || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) == 0) {
    return absl::InvalidArgumentError("a table's memfd is sealed against resizing and writing");
  }
  if (status.st_size < 0 || static_cast<size_t>(status.st_size) < bytes) {
    return absl::InvalidArgumentError("table is shorter than its header says");
  }
  return absl::OkStatus();
}

absl::StatusOr<void*> Map(int fd, size_t bytes) {
  if (absl::Status status = CheckDescriptor(fd, bytes); !status.ok()) return status;
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) return memory;
  if (errno == EINVAL) return absl::InvalidArgumentError("table is shorter than its header says");
  return absl::ErrnoToStatus(errno, "map a table");
}

absl::Status CheckHeader(const lockhost_hint_header& header) {
  if (header.magic != LOCKHOST_HINT_PAGE_MAGIC) {
    return absl::InvalidArgumentError("table without the magic number");
  }
  if (header.abi_version != LOCKHOST_PAGE_ABI_VERSION) {
    return absl::InvalidArgumentError(absl::StrCat("table of ABI version ", header.abi_version,
                                                   ", not ", LOCKHOST_PAGE_ABI_VERSION));
  }
  if (header.header_size < sizeof(lockhost_hint_header) || header.header_size % 64 != 0 ||
      header.slot_stride < sizeof(lockhost_hint_slot) || header.slot_stride % 64 != 0) {
    return absl::InvalidArgumentError("table with a header or slots too small for its version");
  }
  if (header.slot_count > LOCKHOST_MAX_SLOTS) {
    return absl::InvalidArgumentError(absl::StrCat("table with ", header.slot_count, " slots"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<TableReader>> TableReader::Attach(int fd) {
  const auto first = Map(fd, sizeof(lockhost_hint_header));
  if (!first.ok()) return first.status();
  const lockhost_hint_header header = *static_cast<const lockhost_hint_header*>(*first);
  munmap(*first, sizeof(lockhost_hint_header));
  if (absl::Status status = CheckHeader(header); !status.ok()) return status;
  const size_t bytes =
      header.header_size + static_cast<size_t>(header.slot_stride) * header.slot_count;
  const auto memory = Map(fd, bytes);
  if (!memory.ok()) return memory.status();
  return std::unique_ptr<TableReader>(new TableReader(*memory, bytes, header));
}

TableReader::TableReader(void* memory, size_t bytes, const lockhost_hint_header& header)
    : memory_(memory),
      bytes_(bytes),
      slot_count_(header.slot_count),
      header_size_(header.header_size),
      slot_stride_(header.slot_stride) {}

TableReader::~TableReader() { munmap(memory_, bytes_); }

const lockhost_hint_header& TableReader::header() const {
  return *static_cast<const lockhost_hint_header*>(memory_);
}

const lockhost_hint_slot& TableReader::slot(uint32_t vcpu_id) const {
  const char* first = static_cast<const char*>(memory_) + header_size_;
  return *reinterpret_cast<const lockhost_hint_slot*>(first +
                                                      static_cast<size_t>(slot_stride_) * vcpu_id);
}

uint64_t TableReader::generation() const {
  return Load(header().generation, std::memory_order_relaxed);
}

lockhost_mode TableReader::mode() const {
  const uint32_t mode = std::atomic_ref<uint32_t>(const_cast<uint32_t&>(header().mode))
                            .load(std::memory_order_relaxed);
  return mode <= LOCKHOST_MODE_OVERCOMMITTED ? static_cast<lockhost_mode>(mode)
                                             : LOCKHOST_MODE_UNSPECIFIED;
}

uint64_t TableReader::ReadStateWord(uint32_t vcpu_id) const {
  if (vcpu_id >= slot_count_) return 0;
  return Load(slot(vcpu_id).state_word, std::memory_order_acquire);
}

VcpuObservation TableReader::Read(uint32_t vcpu_id) const {
  VcpuObservation seen;
  if (vcpu_id >= slot_count_) return seen;
  const lockhost_hint_slot& slot = this->slot(vcpu_id);
  // The writer changes the word last, so an unchanged word means that nothing else was
  // finished meanwhile; what is being written just now is the next revision's.
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    seen.state_word = Load(slot.state_word, std::memory_order_acquire);
    seen.witness = Load(slot.witness, std::memory_order_acquire);
    seen.since_ns = Load(slot.since_ns, std::memory_order_acquire);
    seen.steal_ns = Load(slot.steal_ns, std::memory_order_acquire);
    seen.preemptions = Load(slot.preemptions, std::memory_order_acquire);
    seen.lock_holder_preemptions = Load(slot.lock_holder_preemptions, std::memory_order_acquire);
    if (Load(slot.state_word, std::memory_order_acquire) == seen.state_word) break;
  }
  return seen;
}

}  // namespace lockhost::agent
