// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_STATS_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_STATS_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "client/page/thread_registration.h"

namespace lockhost::guest_agent {

// What the guest agent counts. Thread-safe.
struct Stats {
  std::atomic<uint64_t> connects{0};  // streams that brought a first message
  std::atomic<uint64_t> messages{0};  // good messages of the host
  std::atomic<uint64_t> snapshots{0};
  std::atomic<uint64_t> deltas{0};  // delivered hint events: each wrote slots under demand
  std::atomic<uint64_t> heartbeats{0};
  std::atomic<uint64_t> hints{0};            // slots written
  std::atomic<uint64_t> resyncs{0};          // snapshots because the host had lost something
  std::atomic<uint64_t> bad_messages{0};     // broke the protocol; the stream was dropped
  std::atomic<uint64_t> dropped_vcpus{0};    // hints for vCPUs that the page has no slot for
  std::atomic<uint64_t> rings{0};            // demand began
  std::atomic<uint64_t> reports{0};          // ReportHolders messages handed to gRPC
  std::atomic<uint64_t> holder_reports{0};   // of these, answers that named preempted holders
  std::atomic<uint64_t> reports_skipped{0};  // the one before was still on its way

  // One JSON object on one line, keys as above.
  std::string ToJson() const;
};

// What is counted of thread pages (client/guest_agent/threads). Thread-safe.
struct ThreadStats {
  std::atomic<uint64_t> processes{0};                             // that have a page now
  std::atomic<uint64_t> results[LOCKHOST_THREAD_RESULT_COUNT]{};  // answers, by kind
  std::atomic<uint64_t> bound{0};         // threads that got to know their slot
  std::atomic<uint64_t> unreadable{0};    // a thread's number was not in memory
  std::atomic<uint64_t> out_of_range{0};  // or there is no such slot
  std::atomic<uint64_t> binds_failed{0};  // the kernel had no memory for it

  // As above; keys begin with "threads_".
  std::string ToJson() const;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_STATS_H_
