// SPDX-License-Identifier: Apache-2.0
#include "agent/table/table_reader.h"

#include <atomic>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lockhost::agent {
namespace {

uint64_t Load(const uint64_t& word, std::memory_order order) {
  return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(word)).load(order);
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
  const auto first = SealedView::Map(fd, sizeof(lockhost_hint_header));
  if (!first.ok()) return first.status();
  const auto header = *static_cast<const lockhost_hint_header*>(first->data());
  if (absl::Status status = CheckHeader(header); !status.ok()) return status;
  auto view = SealedView::Map(
      fd, header.header_size + static_cast<size_t>(header.slot_stride) * header.slot_count);
  if (!view.ok()) return view.status();
  return std::unique_ptr<TableReader>(new TableReader(*std::move(view), header));
}

TableReader::TableReader(SealedView view, const lockhost_hint_header& header)
    : view_(std::move(view)),
      slot_count_(header.slot_count),
      header_size_(header.header_size),
      slot_stride_(header.slot_stride) {}

const lockhost_hint_header& TableReader::header() const {
  return *static_cast<const lockhost_hint_header*>(view_.data());
}

const lockhost_hint_slot& TableReader::slot(uint32_t vcpu_id) const {
  const char* first = static_cast<const char*>(view_.data()) + header_size_;
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

uint32_t TableReader::sampled_every_ns() const {
  return std::atomic_ref(const_cast<uint32_t&>(header().sampled_every_ns))
      .load(std::memory_order_relaxed);
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
