// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_OVERCOMMIT_LOAD_METER_H_
#define LOCKHOST_AGENT_OVERCOMMIT_LOAD_METER_H_

#include <cstdint>
#include <deque>

#include "agent/table/host_page.h"

namespace lockhost::agent {

// How much CPU a set of vCPUs used and wanted, from running totals looked at about once a
// second. Exact whatever happens between two looks, for the totals are the scheduler's.
// Pure; not thread-safe.
class LoadMeter {
 public:
  // Totals over the set, up to `now_ns`. A total below the last one (a vCPU went, with its
  // books) starts the meter anew. REQUIRES: now_ns grows.
  void Add(uint64_t now_ns, uint64_t run_ns, uint64_t steal_ns);

  // Zeros until there were two looks.
  LoadFigures Figures() const;
  // The long window is full.
  bool settled() const;

 private:
  struct Look {
    uint64_t at_ns;
    uint64_t run_ns;
    uint64_t steal_ns;
  };

  const Look& Before(uint64_t window_ns) const;

  std::deque<Look> looks_;  // oldest first; the long window and one before it
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_OVERCOMMIT_LOAD_METER_H_
