// SPDX-License-Identifier: Apache-2.0
//
// The ring of one thread's context switches, as perf may have left it.
#include <linux/perf_event.h>

#include <cstring>
#include <string>

#include "agent/source/switch_records.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::agent {
namespace {

SwitchHistory Parse(std::string_view ring) {
  return ParseSwitches(std::as_bytes(std::span(ring.data(), ring.size())));
}

bool Same(const SwitchRecord& a, const SwitchRecord& b) {
  return a.kind == b.kind && a.at_ns == b.at_ns;
}

void CheckHistory(std::string_view ring) {
  const SwitchHistory history = Parse(ring);
  FUZZ_CHECK(history.preemptions <= ring.size() / kSwitchRecordBytes);
  if (!history.newest) {
    FUZZ_CHECK(history.preemptions == 0);
    return;
  }
  FUZZ_CHECK(history.newest->kind <= SwitchRecord::Kind::kPreempted);
  const std::string_view time(reinterpret_cast<const char*>(&history.newest->at_ns),
                              sizeof(history.newest->at_ns));
  FUZZ_CHECK(ring.find(time) != std::string_view::npos);
}

// One record more: it is the newest, and nothing else changes.
void CheckOneMore(std::string_view ring) {
  constexpr uint64_t kTimeNs = 77;
  constexpr perf_event_header kHeader = {
      PERF_RECORD_SWITCH, PERF_RECORD_MISC_SWITCH_OUT | PERF_RECORD_MISC_SWITCH_OUT_PREEMPT,
      kSwitchRecordBytes};
  std::string longer(kSwitchRecordBytes, '\0');
  std::memcpy(longer.data(), &kHeader, sizeof(kHeader));
  std::memcpy(&longer[kSwitchRecordBytes - sizeof(kTimeNs)], &kTimeNs, sizeof(kTimeNs));
  longer.append(ring);
  const SwitchHistory history = Parse(longer);
  FUZZ_CHECK(history.newest.has_value());
  FUZZ_CHECK(Same(*history.newest, {SwitchRecord::Kind::kPreempted, kTimeNs}));
  FUZZ_CHECK(history.preemptions == Parse(ring).preemptions + 1);
}

// The oldest records are overwritten first: what is left says the same of the newest.
void CheckShorter(std::string_view ring) {
  const SwitchHistory whole = Parse(ring);
  const SwitchHistory part = Parse(ring.substr(0, ring.size() / 2));
  FUZZ_CHECK(part.preemptions <= whole.preemptions);
  FUZZ_CHECK(!part.newest || Same(*part.newest, *whole.newest));
}

}  // namespace
}  // namespace lockhost::agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view ring = lockhost::AsText(data, size);
  lockhost::agent::CheckHistory(ring);
  lockhost::agent::CheckOneMore(ring);
  lockhost::agent::CheckShorter(ring);
  return 0;
}
