// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_DIRECTORY_VM_RECORD_H_
#define LOCKHOST_SERVER_DIRECTORY_VM_RECORD_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "agent/channel/protocol.h"
#include "agent/table/table_reader.h"
#include "server/directory/connection_counters.h"

namespace lockhost::server {

// Facts about one VM, as the agent last told them.
struct VmFacts {
  uint64_t vm_id = 0;
  uint32_t vm_index = 0;
  int32_t pid = 0;
  uint32_t vcpu_count = 0;
  uint32_t vsock_cid = 0;
  agent::SourceKind source = agent::SourceKind::kUnspecified;
  bool reports_readable = false;
  uint64_t memory_bytes = 0;  // 0: unknown
  std::string accelerator;    // "kvm", "tcg" or empty
  std::string vmm;
  std::string name;
  std::string uuid;

  static VmFacts FromMessage(const agent::VmMessage& message);
};

// What is counted for one VM. Thread-safe.
struct VmCounters {
  std::atomic<uint32_t> streams{0};
  std::atomic<bool> demand{false};
  std::atomic<uint64_t> deltas{0};
  std::atomic<uint64_t> heartbeats{0};
  std::array<std::atomic<uint64_t>, 4> snapshots{};  // index: v1::SnapshotReason
  std::atomic<uint64_t> hints{0};                    // vCPU states sent
  std::atomic<uint64_t> messages_past_grpc{0};
  std::atomic<uint64_t> events{0};  // wake-ups by the ring
  std::atomic<uint64_t> reports_accepted{0};
  std::atomic<uint64_t> reports_outdated{0};
  std::atomic<uint64_t> reports_invalid{0};
  std::atomic<uint64_t> reports_too_fast{0};
  std::atomic<uint64_t> boosts_forwarded{0};  // asked of the agent for this guest
  std::atomic<uint64_t> boosts_stale{0};      // not asked: the vCPU has gone on
  std::atomic<uint64_t> boosts_too_fast{0};   // not asked: the guest asks too often
  std::atomic<uint64_t> boosts_unsent{0};     // nobody to ask, or it has too much to do
  std::atomic<uint64_t> streams_refused{0};
  ConnectionCounters connections;
};

// One VM: who it is, its table, its counters. Thread-safe; shared by the publisher, the
// VM's server, the operator's service and the metrics, and kept by whoever still uses it
// when the VM has gone.
class VmRecord {
 public:
  using Table = std::shared_ptr<const agent::TableReader>;

  // REQUIRES: table is not null.
  VmRecord(VmFacts facts, Table table, std::string socket_path)
      : vm_id_(facts.vm_id),
        socket_path_(std::move(socket_path)),
        facts_(std::move(facts)),
        table_(std::move(table)) {}

  uint64_t vm_id() const { return vm_id_; }
  const std::string& socket_path() const { return socket_path_; }
  VmCounters& counters() { return counters_; }
  const VmCounters& counters() const { return counters_; }

  VmFacts facts() const {
    const std::lock_guard lock(mutex_);
    return facts_;
  }
  Table table() const {
    const std::lock_guard lock(mutex_);
    return table_;
  }
  // REQUIRES: facts speak of the same VM; table is not null.
  void Update(VmFacts facts, Table table) {
    const std::lock_guard lock(mutex_);
    facts_ = std::move(facts);
    table_ = std::move(table);
  }

 private:
  const uint64_t vm_id_;
  const std::string socket_path_;
  VmCounters counters_;
  mutable std::mutex mutex_;
  VmFacts facts_;
  Table table_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_DIRECTORY_VM_RECORD_H_
