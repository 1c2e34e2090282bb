// SPDX-License-Identifier: Apache-2.0
//
// A hostile hint page and report page as the lock reads them. Input: the time (8 bytes),
// a vCPU (4), the size of the hint page (2), the pages one after the other.
#include <cstring>
#include <memory>

#include "client/page/hint_reader.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost {
namespace {

// A copy in a block of its own, so that a read beyond the page is seen.
class PageCopy {
 public:
  explicit PageCopy(std::string_view bytes)
      : bytes_(bytes), memory_(new unsigned char[bytes.size()]) {
    std::memcpy(memory_.get(), bytes.data(), bytes.size());
  }
  template <typename Header>
  Header* as() const {
    return reinterpret_cast<Header*>(memory_.get());
  }
  size_t size() const { return bytes_.size(); }
  bool unchanged() const { return std::memcmp(memory_.get(), bytes_.data(), bytes_.size()) == 0; }

 private:
  const std::string_view bytes_;
  const std::unique_ptr<unsigned char[]> memory_;
};

// By the page's documentation, not by the reader's code.
bool MayGiveHint(const lockhost_pages& pages, uint32_t vcpu, uint64_t now_ns) {
  return vcpu < pages.hint_slots && pages.hints->magic == LOCKHOST_HINT_PAGE_MAGIC &&
         pages.hints->abi_version == LOCKHOST_PAGE_ABI_VERSION &&
         pages.lease->valid_until_ns > now_ns;
}

void CheckHint(const lockhost_pages& pages, uint32_t vcpu, uint64_t now_ns) {
  const uint32_t state = lockhost_read_hint(&pages, vcpu, now_ns);
  FUZZ_CHECK(state <= LOCKHOST_RUN_STATE_EXITED);
  if (state == LOCKHOST_RUN_STATE_UNSPECIFIED) return;
  FUZZ_CHECK(MayGiveHint(pages, vcpu, now_ns));
  const lockhost_hint_slot& slot = *lockhost_hint_slot_at(pages.hints, vcpu);
  const uint32_t written = lockhost_state_of(slot.state_word);
  if (state == written) {
    // Not running, and nothing that would refute it.
    const bool witnessed =
        state != LOCKHOST_RUN_STATE_RUNNING && slot.witness != 0 && vcpu < pages.report_slots;
    FUZZ_CHECK(!witnessed ||
               lockhost_report_slot_at(pages.reports, vcpu)->report_word == slot.witness);
  } else {
    FUZZ_CHECK(state == LOCKHOST_RUN_STATE_RUNNING && slot.witness != 0);
    FUZZ_CHECK(lockhost_report_slot_at(pages.reports, vcpu)->report_word != slot.witness);
  }
}

void Check(ByteReader input) {
  const auto now_ns = input.Take<uint64_t>();
  const auto any_vcpu = input.Take<uint32_t>();
  const PageCopy hint_page(input.TakeBytes(input.Take<uint16_t>()));
  const PageCopy report_page(input.TakeRest());
  const auto* hints = hint_page.as<const lockhost_hint_header>();
  auto* reports = report_page.as<lockhost_report_header>();
  const uint32_t hint_slots = lockhost_check_hint_page(hints, hint_page.size());
  const uint32_t report_slots = lockhost_check_report_page(reports, report_page.size());
  FUZZ_CHECK(hint_slots == 0 || (hint_slots <= LOCKHOST_MAX_SLOTS &&
                                 LOCKHOST_HINT_PAGE_BYTES(hint_slots) <= hint_page.size()));
  FUZZ_CHECK(report_slots == 0 || (report_slots <= LOCKHOST_MAX_SLOTS &&
                                   LOCKHOST_REPORT_PAGE_BYTES(report_slots) <= report_page.size()));
  // A refused page is not attached.
  const lockhost_pages pages = {hint_slots > 0 ? hints : nullptr, hint_slots > 0 ? hints : nullptr,
                                report_slots > 0 ? reports : nullptr, hint_slots, report_slots};
  for (uint32_t vcpu = 0; vcpu < hint_slots; ++vcpu) CheckHint(pages, vcpu, now_ns);
  CheckHint(pages, any_vcpu, now_ns);
  const bool prompt = lockhost_hints_are_prompt(&pages) != 0;
  FUZZ_CHECK(!prompt || hints->path == LOCKHOST_PAGE_PATH_DIRECT_MAP);
  FUZZ_CHECK(hint_page.unchanged() && report_page.unchanged());
}

}  // namespace
}  // namespace lockhost

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockhost::Check(lockhost::ByteReader(data, size));
  return 0;
}
