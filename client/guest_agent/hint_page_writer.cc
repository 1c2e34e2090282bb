// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/hint_page_writer.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace lockhost::guest_agent {
namespace {

constexpr size_t kLeastBytes = LOCKHOST_HINT_PAGE_BYTES(1);
constexpr mode_t kMode = 0644;  // applications only read

template <typename T>
void Store(T& word, T value, std::memory_order order) {
  std::atomic_ref<T>(word).store(value, order);
}

bool IsOurs(const lockhost_hint_header& page, uint32_t room) {
  return page.magic == LOCKHOST_HINT_PAGE_MAGIC && page.abi_version == LOCKHOST_PAGE_ABI_VERSION &&
         page.header_size == sizeof(lockhost_hint_header) &&
         page.slot_stride == sizeof(lockhost_hint_slot) && page.slot_count > 0 &&
         page.slot_count <= room;
}

bool IsOffCpu(const lockhost_hint_slot& slot) {
  return lockhost_state_of(slot.state_word) >= LOCKHOST_RUN_STATE_PREEMPTED;
}

// Whether the vCPU has left its CPU since `before`: messages skip states, so it may be off
// its CPU in both and have run between. A wake-up (to PREEMPTED, nothing counted) is no stop.
bool HasStopped(const lockhost_hint_slot& before, const lockhost_hint_slot& now) {
  if (!IsOffCpu(now)) return false;
  const bool woken = lockhost_state_of(now.state_word) == LOCKHOST_RUN_STATE_PREEMPTED &&
                     now.preemptions == before.preemptions;
  return !IsOffCpu(before) || !woken;
}

}  // namespace

absl::StatusOr<HintPageWriter> HintPageWriter::Open(const std::string& path, uint32_t slots,
                                                    lockhost_page_path writer_path) {
  slots = std::clamp<uint32_t>(slots, 1, LOCKHOST_MAX_SLOTS);
  absl::StatusOr<MappedPage> mapping =
      MappedPage::Open(path, kLeastBytes, LOCKHOST_HINT_PAGE_BYTES(slots), kMode);
  if (!mapping.ok()) return mapping.status();
  const size_t room =
      (mapping->bytes() - sizeof(lockhost_hint_header)) / sizeof(lockhost_hint_slot);
  const auto fits = static_cast<uint32_t>(std::min<size_t>(room, LOCKHOST_MAX_SLOTS));
  const auto& page = *static_cast<const lockhost_hint_header*>(mapping->memory());
  const uint32_t count = IsOurs(page, fits) ? page.slot_count : std::min(slots, fits);
  return HintPageWriter(*std::move(mapping), count, writer_path);
}

HintPageWriter::HintPageWriter(MappedPage mapping, uint32_t slot_count,
                               lockhost_page_path writer_path)
    : mapping_(std::move(mapping)),
      page_(static_cast<lockhost_hint_header*>(mapping_.memory())),
      slot_count_(slot_count) {
  Void();
  ClearSlots();
  page_->abi_version = LOCKHOST_PAGE_ABI_VERSION;
  page_->header_size = sizeof(lockhost_hint_header);
  page_->slot_stride = sizeof(lockhost_hint_slot);
  page_->slot_count = slot_count;
  Store<uint32_t>(page_->path, writer_path, std::memory_order_relaxed);
  SetHost(0, LOCKHOST_MODE_UNSPECIFIED);
  SetSampledEvery(0);
  // Of an agent before, whose programs have ended with it.
  Store<uint64_t>(page_->threads_valid_until_ns, 0, std::memory_order_release);
  Store<uint64_t>(page_->threads_generation, 0, std::memory_order_release);
  Store<uint64_t>(page_->magic, LOCKHOST_HINT_PAGE_MAGIC, std::memory_order_release);
}

lockhost_hint_slot* HintPageWriter::slot(uint32_t vcpu_id) const {
  return reinterpret_cast<lockhost_hint_slot*>(page_ + 1) + vcpu_id;
}

void HintPageWriter::SetHost(uint64_t generation, lockhost_mode mode) {
  if (page_->generation != generation) {
    Void();
    ClearSlots();
    Store<uint64_t>(page_->generation, generation, std::memory_order_release);
  }
  SetMode(mode);
}

void HintPageWriter::SetMode(lockhost_mode mode) {
  if (page_->mode != static_cast<uint32_t>(mode)) {
    Store<uint32_t>(page_->mode, mode, std::memory_order_release);
  }
}

void HintPageWriter::SetSampledEvery(uint32_t period_ns) {
  Store(page_->sampled_every_ns, period_ns, std::memory_order_relaxed);
}

void HintPageWriter::WriteSlot(uint32_t vcpu_id, const lockhost_hint_slot& from) {
  lockhost_hint_slot* to = slot(vcpu_id);
  if (HasStopped(*to, from)) {
    Store(to->stopped_ns, from.since_ns, std::memory_order_relaxed);
  }
  Store(to->witness, from.witness, std::memory_order_relaxed);
  Store(to->since_ns, from.since_ns, std::memory_order_relaxed);
  Store(to->steal_ns, from.steal_ns, std::memory_order_relaxed);
  Store(to->preemptions, from.preemptions, std::memory_order_relaxed);
  Store(to->lock_holder_preemptions, from.lock_holder_preemptions, std::memory_order_relaxed);
  Store(to->state_word, from.state_word, std::memory_order_release);
}

void HintPageWriter::ClearSlots() {
  for (uint32_t vcpu_id = 0; vcpu_id < slot_count_; ++vcpu_id) {
    lockhost_hint_slot* to = slot(vcpu_id);
    // The state goes first: what a clear must never leave is a state without its witness.
    Store<uint64_t>(to->state_word, 0, std::memory_order_release);
    Store<uint64_t>(to->witness, 0, std::memory_order_relaxed);
  }
}

void HintPageWriter::ExtendLease(uint64_t valid_until_ns) {
  Store(page_->valid_until_ns, valid_until_ns, std::memory_order_release);
}

}  // namespace lockhost::guest_agent
