// SPDX-License-Identifier: Apache-2.0
//
// What one guest was told, beside the truth, and whether the two agree: "What a guest may rely
// on" in server/README.md, guarantee by guarantee. Pure.
#ifndef LOCKHOST_TESTS_LOAD_SUPPORT_HISTORY_H_
#define LOCKHOST_TESTS_LOAD_SUPPORT_HISTORY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/page/hint_page.h"
#include "lockhost/v1/hints.pb.h"

namespace lockhost::load {

// All times in ns, CLOCK_MONOTONIC of the host, which is the guest's here.
struct Hint {
  uint32_t vcpu_id;
  uint32_t run_state;
  uint64_t revision;
};

// What a vCPU stays in until its next tick, so that a table still says when it began. One that
// a thread stands in for has no HLT.
inline bool IsStopped(uint32_t run_state) {
  return run_state == LOCKHOST_RUN_STATE_HALTED || run_state == LOCKHOST_RUN_STATE_EXITED;
}

// One message as it was received.
struct Heard {
  uint64_t at_ns = 0;
  uint64_t lease_ns = 0;
  bool snapshot = false;  // otherwise a delta, or, without hints, perhaps a heartbeat
  v1::SnapshotReason reason = v1::SNAPSHOT_REASON_UNSPECIFIED;
  uint64_t generation = 0;  // of a snapshot
  uint64_t resyncs = 0;     // of a snapshot
  std::vector<Hint> hints = {};
};
Heard ToHeard(const v1::WatchHintsResponse& message, uint64_t received_ns);

struct HeardStream {
  uint64_t begun_ns = 0;  // when the guest began to connect
  std::vector<Heard> messages = {};
};

// What a table said of a vCPU, whoever read it, whenever.
struct Truth {
  uint64_t table_generation;
  uint32_t vcpu_id;
  uint64_t revision;
  uint32_t run_state;
};

struct Span {
  uint64_t begin_ns;
  uint64_t end_ns;
};

struct History {
  std::vector<HeardStream> streams;  // in the order of their begin
  std::vector<Truth> truths;
  // When a lockhostd had ended for certain: none of its generations comes again.
  std::vector<uint64_t> server_ends_ns;
  // When lockhostd or the agent was down, stopped or just coming back: silence is theirs.
  std::vector<Span> silences;
  // When the guest sent demand.
  std::vector<uint64_t> demands_ns;
  // The last revisions, of vCPUs that stood still at the end while demand and stream went on
  // until the guest had had the time to hear of them. Empty: no such end.
  std::map<uint32_t, uint64_t> last;
};

struct HistoryCheck {
  // One line each, beginning with the number of the guarantee. At most 20.
  std::vector<std::string> violations;
  uint64_t messages = 0;
  uint64_t hints = 0;
  uint64_t hints_compared = 0;  // whose revision somebody has seen in a table, too
};

// `slack_ns`: how late a message may be received after it was sent, at most.
HistoryCheck CheckHistory(const History& history, uint64_t slack_ns);

}  // namespace lockhost::load

#endif  // LOCKHOST_TESTS_LOAD_SUPPORT_HISTORY_H_
