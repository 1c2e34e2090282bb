// SPDX-License-Identifier: Apache-2.0
#include "agent/source/switch_records.h"

#include <linux/perf_event.h>

#include <cstring>

namespace lockhost::agent {
namespace {

// linux/perf_event.h, PERF_RECORD_SWITCH: a header and the sample_id.
struct RawSwitch {
  perf_event_header header;
  uint32_t pid, tid;
  uint64_t time_ns;
};
static_assert(sizeof(RawSwitch) == kSwitchRecordBytes);

SwitchRecord::Kind KindOf(uint16_t misc) {
  if ((misc & PERF_RECORD_MISC_SWITCH_OUT) == 0) return SwitchRecord::Kind::kIn;
  return (misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT) != 0 ? SwitchRecord::Kind::kPreempted
                                                           : SwitchRecord::Kind::kOut;
}

}  // namespace

SwitchHistory ParseSwitches(std::span<const std::byte> bytes) {
  SwitchHistory history;
  while (bytes.size() >= sizeof(perf_event_header)) {
    perf_event_header header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.size < sizeof(header) || header.size > bytes.size()) break;
    if (header.type == PERF_RECORD_SWITCH && header.size == sizeof(RawSwitch)) {
      RawSwitch raw;
      std::memcpy(&raw, bytes.data(), sizeof(raw));
      const SwitchRecord record{KindOf(header.misc), raw.time_ns};
      if (!history.newest) history.newest = record;
      history.preemptions += record.kind == SwitchRecord::Kind::kPreempted ? 1 : 0;
    }
    bytes = bytes.subspan(header.size);
  }
  return history;
}

}  // namespace lockhost::agent
