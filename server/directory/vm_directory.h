// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_DIRECTORY_VM_DIRECTORY_H_
#define LOCKHOST_SERVER_DIRECTORY_VM_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/channel/protocol.h"
#include "agent/table/boost_log.h"
#include "agent/table/host_page.h"
#include "agent/table/stats_reader.h"
#include "server/directory/vm_record.h"

namespace lockhost::server {

// The agent's source of run states, and whether the agent is there at all.
struct SourceState {
  bool connected = false;
  agent::SourceKind kind = agent::SourceKind::kUnspecified;
  std::string reason = {};  // why not a better one
  // Each may be null: an agent whose source keeps no statistics, whose page is bad, or that
  // boosts nobody.
  std::shared_ptr<const agent::StatsReader> stats = nullptr;
  std::shared_ptr<const agent::HostPageReader> host_page = nullptr;
  std::shared_ptr<const agent::BoostLogReader> boost_log = nullptr;
};

// "bpf", "perf", "procfs", or "unspecified".
const char* SourceName(agent::SourceKind kind);

// The VMs that the agent knows. Thread-safe.
class VmDirectory {
 public:
  using Record = std::shared_ptr<VmRecord>;

  void Put(Record record);
  // The record that was there, or null.
  Record Remove(uint64_t vm_id);
  Record Find(uint64_t vm_id) const;
  // In the order of their ids; at most `limit`, ids above `after` alone.
  std::vector<Record> List(uint64_t after, size_t limit) const;
  std::vector<Record> All() const;

  void SetSource(SourceState source);
  SourceState source() const;

 private:
  mutable std::mutex mutex_;
  std::map<uint64_t, Record> vms_;
  SourceState source_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_DIRECTORY_VM_DIRECTORY_H_
