// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_SOURCE_H_
#define LOCKHOST_AGENT_SOURCE_SOURCE_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/boost/boost_feed.h"
#include "agent/channel/protocol.h"
#include "agent/registry/vm.h"
#include "client/page/hint_page.h"

namespace lockhost::agent {

// One number that a source counts; what went wrong is never silent.
struct SourceCounter {
  std::string_view name;
  uint64_t value = 0;
  bool is_trouble = false;   // worth a line in the log when it grows
  std::string_view id = {};  // for metrics: lower case, stable
};

// Where run states come from. A source finds VMs, keeps a table for each that it was
// told to follow, and writes the tables by itself (BPF) or whenever it is polled.
//
// Not thread-safe: everything is called from the agent's one thread.
class Source {
 public:
  virtual ~Source() = default;

  virtual SourceKind kind() const = 0;

  // What lockhostd gets: the ring of HintEvent (-1: there is none, tables must be
  // polled), and the InterestEntry array that it writes.
  virtual int hint_ring_fd() const = 0;
  virtual int interest_fd() const = 0;
  // The array of lockhost_vcpu_stats, for StatsReader::Attach; -1: this source keeps none.
  virtual int stats_fd() const { return -1; }

  // What boosting needs; nullopt: this source does not see a lock holder's preemption as it
  // happens.
  virtual std::optional<BoostFeed> boost_feed() const { return std::nullopt; }

  // Readable when Poll() has something to say; -1: Poll() is due by time alone.
  virtual int event_fd() const = 0;
  // How long until Poll() is due at the latest.
  virtual std::chrono::milliseconds poll_interval() = 0;

  // VMs that nobody follows yet. Each is told once; one that was not added is told again
  // some seconds later, or when a VM has been removed.
  virtual absl::StatusOr<std::vector<VmSighting>> Poll() = 0;

  // Tables go on being written when the agent ends.
  virtual bool outlives_agent() const = 0;
  // VMs that an earlier agent followed and that go on; their tables are intact.
  virtual std::vector<VmRecord> Adopted() = 0;

  // Follows a VM from now on.
  virtual absl::Status AddVm(const VmRecord& record) = 0;
  // Makes the table say "no hint", whoever still maps it, and forgets the VM.
  virtual void RemoveVm(const VmRecord& record) = 0;

  // Of a VM that is followed: its table, for TableReader::Attach. The descriptor belongs
  // to the source, until RemoveVm(); whoever holds it cannot write the table.
  virtual int TableFd(const VmRecord& record) = 0;
  virtual VcpuCounts Counts(const VmRecord& record) = 0;
  virtual void SetMode(const VmRecord& record, lockhost_mode mode) = 0;

  // Where the VM's report page is mapped in its VMM; address 0 withdraws it.
  // UNIMPLEMENTED if this source cannot read it. REQUIRES: a checked address.
  virtual absl::Status SetReportRegion(const VmRecord& record, uint64_t address,
                                       uint32_t slot_count) = 0;
  virtual bool ReportsReadable(const VmRecord& record) = 0;

  // Threads of the VM's process that run vCPUs (index = vCPU id, 0 = none), in place of
  // those registered before. REQUIRES: they are threads of that process.
  virtual absl::Status SetVcpuThreads(const VmRecord& record, std::span<const int32_t> tids) = 0;

  virtual std::vector<SourceCounter> Counters() = 0;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_SOURCE_H_
