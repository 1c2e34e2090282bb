// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_SWITCH_RECORDS_H_
#define LOCKHOST_AGENT_SOURCE_SWITCH_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace lockhost::agent {

// One PERF_RECORD_SWITCH of a thread, with sample_id_all and TID | TIME.
struct SwitchRecord {
  enum class Kind { kIn, kOut, kPreempted };
  Kind kind = Kind::kIn;
  uint64_t at_ns = 0;  // CLOCK_MONOTONIC
};

// What lies in a ring that perf writes backwards: the newest record first.
struct SwitchHistory {
  std::optional<SwitchRecord> newest;
  uint64_t preemptions = 0;  // among the records that were read
};

// Reads whole records until the end of `bytes`, or the first that is none (zeros where
// nothing was written yet, or the rest of one that was overwritten). Other types are
// passed over. Pure.
SwitchHistory ParseSwitches(std::span<const std::byte> bytes);

// Bytes of one record as perf writes it.
inline constexpr size_t kSwitchRecordBytes = 24;

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_SWITCH_RECORDS_H_
