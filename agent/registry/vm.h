// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_REGISTRY_VM_H_
#define LOCKHOST_AGENT_REGISTRY_VM_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "agent/kernel/vmm.h"
#include "agent/table/table_reader.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// A process at one time: pids are reused, a pid with its start time is not.
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // /proc/PID/stat field 22

  bool operator==(const ProcessId&) const = default;
};

// A VM that a source has seen, and nobody follows yet.
struct VmSighting {
  uint64_t key = 0;  // the source's name for it: address of struct kvm, or the pid
  ProcessId process;
};

// What identifies a VM that is followed; survives a restart of the agent.
struct VmRecord {
  uint64_t vm_id = 0;     // never reused
  uint32_t vm_index = 0;  // into the source's and the interest arrays; reused
  uint64_t key = 0;       // 0: its threads were registered
  ProcessId process;
  uint64_t generation = 0;
};

// How many vCPUs a VM shows.
struct VcpuCounts {
  uint32_t live = 0;  // with a thread now
  uint32_t seen = 0;  // ever with one

  bool operator==(const VcpuCounts&) const = default;
};

// Everything the agent knows of a VM that it follows.
struct Vm {
  VmRecord record;
  VmmFacts facts;
  UniqueFd pidfd;                            // readable when the process has ended
  std::shared_ptr<const TableReader> table;  // also the booster's
  VcpuCounts counts;
  bool reports_readable = false;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_REGISTRY_VM_H_
