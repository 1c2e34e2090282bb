// SPDX-License-Identifier: Apache-2.0
//
// A hostile thread page as the lock reads it, and a hostile fdinfo. Input: the time (8 bytes), a
// slot (4), the header of the hint page (64), the thread page; all of it once more as a text.
#include <array>
#include <cstring>
#include <vector>

#include "client/lock/attach.h"
#include "client/page/thread_reader.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost {
namespace {

constexpr std::array<uint16_t, 4> kVcpus = {4, 5, 6, 7};

void CheckSlot(const lockhost_threads& threads, uint32_t slot, uint64_t now_ns) {
  const lockhost_thread_view view = lockhost_read_thread(&threads, slot, now_ns);
  FUZZ_CHECK(view.state <= LOCKHOST_THREAD_STATE_ASLEEP);
  FUZZ_CHECK(view.vcpu == LOCKHOST_UNKNOWN_CPU || (view.vcpu >= 4 && view.vcpu <= 7));
  if (view.state == LOCKHOST_THREAD_STATE_UNSPECIFIED) return;
  FUZZ_CHECK(slot < threads.slot_count && threads.lease->threads_valid_until_ns > now_ns &&
             threads.lease->threads_generation == threads.generation);
}

void Check(ByteReader input) {
  const auto now_ns = input.Take<uint64_t>();
  const auto any_slot = input.Take<uint32_t>();
  const auto lease = input.Take<lockhost_hint_header>();
  const std::string_view bytes = input.TakeRest();
  // In a block of its own, so that a read beyond the page is seen.
  const std::vector<char> memory(bytes.begin(), bytes.end());
  const auto* page = reinterpret_cast<const lockhost_thread_header*>(memory.data());
  const uint32_t slots = lockhost_check_thread_page(page, memory.size());
  FUZZ_CHECK(slots <= LOCKHOST_MAX_THREAD_SLOTS);
  FUZZ_CHECK(slots == 0 || LOCKHOST_THREAD_PAGE_BYTES(slots) <= memory.size());
  if (slots == 0) return;  // a refused page is not attached
  const lockhost_threads threads = {&lease, page,          page->generation,
                                    slots,  kVcpus.data(), static_cast<uint32_t>(kVcpus.size())};
  for (uint32_t slot = 0; slot < slots; ++slot) CheckSlot(threads, slot, now_ns);
  CheckSlot(threads, any_slot, now_ns);
}

}  // namespace
}  // namespace lockhost

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockhost::Check(lockhost::ByteReader(data, size));
  const uint64_t bytes =
      lockhost::lock::FrozenArrayBytes(reinterpret_cast<const char*>(data), size);
  FUZZ_CHECK(bytes % sizeof(lockhost_thread_slot) == 0);
  return 0;
}
