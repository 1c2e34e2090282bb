// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_AGENT_AGENT_UNDER_TEST_H_
#define LOCKHOST_TESTS_BENCH_AGENT_AGENT_UNDER_TEST_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agent/channel/agent_client.h"
#include "agent/table/stats_reader.h"
#include "agent/table/table_reader.h"
#include "tests/agent/support/agent_process.h"
#include "tests/agent/support/temp_dir.h"

namespace lockhost::bench {

// `lockhost-agent` as a process, nothing pinned, and what a subscriber hears of it.
class AgentUnderTest {
 public:
  // FAILED_PRECONDITION: that source cannot be had here; says why.
  static absl::StatusOr<std::unique_ptr<AgentUnderTest>> Start(
      const std::string& source, const std::vector<std::string>& more_arguments = {});

  pid_t pid() const { return process_->pid(); }
  // Where it listens, in a directory that is removed at the end.
  std::string socket() const { return directory_.path() + "/agent.sock"; }
  // Shows demand for that VM, as lockhostd would, until this object's end.
  absl::Status Demand(uint64_t vm_id);
  // Null where the source keeps no books.
  const agent::StatsReader* stats() const { return stats_.get(); }

  struct Vm {
    uint64_t vm_id;
    uint32_t vm_index;
    pid_t pid;
    std::unique_ptr<agent::TableReader> table;
  };
  // By vm_id; brought up to date by Listen(), which never waits.
  const std::map<uint64_t, Vm>& vms() const { return vms_; }
  void Listen();
  // The VM of that process, null if there is none (after listening).
  const Vm* FindVm(pid_t pid);

 private:
  AgentUnderTest() = default;

  agent::TempDir directory_;
  std::unique_ptr<agent::AgentProcess> process_;
  std::unique_ptr<agent::AgentClient> client_;
  std::unique_ptr<agent::StatsReader> stats_;
  UniqueFd interest_;
  std::map<uint64_t, Vm> vms_;
};

// Run time of all threads of a process.
uint64_t RunNs(pid_t pid);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_AGENT_AGENT_UNDER_TEST_H_
