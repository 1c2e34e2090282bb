// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/report_page.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace lockhost::guest_agent {
namespace {

constexpr size_t kLeastBytes = LOCKHOST_REPORT_PAGE_BYTES(1);
constexpr mode_t kMode = 0666;  // applications write

// The number of slots that a page left by an agent before says it has; 0: none did.
uint32_t SlotsThere(const lockhost_report_header& page, uint32_t room) {
  const bool ours =
      page.magic == LOCKHOST_REPORT_PAGE_MAGIC && page.abi_version == LOCKHOST_PAGE_ABI_VERSION;
  const uint32_t count = page.slot_count;
  return ours && count <= room ? count : 0;
}

}  // namespace

absl::StatusOr<ReportPage> ReportPage::Open(const std::string& path, uint32_t slots) {
  slots = std::clamp<uint32_t>(slots, 1, LOCKHOST_MAX_SLOTS);
  absl::StatusOr<MappedPage> mapping =
      MappedPage::Open(path, kLeastBytes, LOCKHOST_REPORT_PAGE_BYTES(slots), kMode);
  if (!mapping.ok()) return mapping.status();
  const size_t room =
      (mapping->bytes() - sizeof(lockhost_report_header)) / sizeof(lockhost_report_slot);
  const auto fits = static_cast<uint32_t>(std::min<size_t>(room, LOCKHOST_MAX_SLOTS));
  const uint32_t there =
      SlotsThere(*static_cast<const lockhost_report_header*>(mapping->memory()), fits);
  return ReportPage(*std::move(mapping), there != 0 ? there : std::min(slots, fits));
}

ReportPage::ReportPage(MappedPage mapping, uint32_t slot_count)
    : mapping_(std::move(mapping)),
      page_(static_cast<lockhost_report_header*>(mapping_.memory())),
      slot_count_(slot_count) {
  page_->abi_version = LOCKHOST_PAGE_ABI_VERSION;
  page_->slot_count = slot_count;
  std::atomic_ref(page_->magic).store(LOCKHOST_REPORT_PAGE_MAGIC, std::memory_order_release);
}

lockhost_report_slot* ReportPage::slot(uint32_t vcpu_id) const {
  return reinterpret_cast<lockhost_report_slot*>(page_ + 1) + vcpu_id;
}

uint32_t ReportPage::Arm() {
  const uint32_t before = std::atomic_ref(page_->bell).load();
  // Sequentially consistent: a waiter either finds the bell armed, or its mark is seen
  // by the look that follows.
  std::atomic_ref(page_->bell_armed).store(1);
  return before;
}

void ReportPage::Disarm() { std::atomic_ref(page_->bell_armed).store(0); }

bool ReportPage::Rung() const { return std::atomic_ref(page_->bell_armed).load() == 0; }

bool ReportPage::AnyAwaited() const {
  for (uint32_t vcpu_id = 0; vcpu_id < slot_count_; ++vcpu_id) {
    if (std::atomic_ref(slot(vcpu_id)->awaited).load() != 0) return true;
  }
  return false;
}

bool ReportPage::IsHolder(uint32_t vcpu_id) const {
  if (vcpu_id >= slot_count_) return false;
  return (std::atomic_ref(slot(vcpu_id)->report_word).load() & LOCKHOST_REPORT_HOLDER_MASK) != 0;
}

bool ReportPage::IsAwaitedHolder(uint32_t vcpu_id) const {
  if (!IsHolder(vcpu_id)) return false;
  if (std::atomic_ref(slot(vcpu_id)->awaited).load() != 0) return true;
  // The mark may just have been taken; who waits says for whom.
  for (uint32_t waiter = 0; waiter < slot_count_; ++waiter) {
    if (std::atomic_ref(slot(waiter)->waits_for).load() == uint64_t{vcpu_id} + 1) return true;
  }
  return false;
}

void ReportPage::TakeAwaited(std::vector<uint32_t>* vcpus) {
  vcpus->clear();
  for (uint32_t vcpu_id = 0; vcpu_id < slot_count_; ++vcpu_id) {
    std::atomic_ref<uint32_t> mark(slot(vcpu_id)->awaited);
    if (mark.load(std::memory_order_relaxed) == 0) continue;
    mark.store(0, std::memory_order_relaxed);
    vcpus->push_back(vcpu_id);
  }
}

}  // namespace lockhost::guest_agent
