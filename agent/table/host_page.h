// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_TABLE_HOST_PAGE_H_
#define LOCKHOST_AGENT_TABLE_HOST_PAGE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "agent/channel/protocol.h"
#include "agent/table/boost_log.h"
#include "agent/table/kvm_stat_names.h"
#include "agent/table/sealed_memory.h"
#include "client/page/hint_page.h"

// The host page: what the agent says of the host as a whole, of each VM's load, and of
// itself, brought up to date once a second without a message, so that nobody is woken.
namespace lockhost::agent {

inline constexpr uint64_t kHostPageMagic = 0x45474150'54534f48;  // "HOSTPAGE"
inline constexpr uint32_t kHostPageVersion = 4;
inline constexpr uint32_t kMaxHostCounters = 64;

// Means over the last second and the last ten.
struct LoadFigures {
  static constexpr int kShort = 0;
  static constexpr int kLong = 1;
  std::array<double, 2> runnable_vcpus{};  // that ran or wanted to
  std::array<double, 2> steal_ratio{};     // of the time they wanted a CPU, the share without

  bool operator==(const LoadFigures&) const = default;
};

// What KVM counts of a VM's vCPUs, summed up, in the order of kKvmStatNames; kNotKnown where
// it does not say.
inline constexpr uint32_t kMaxKvmStats = 16;
inline constexpr uint64_t kNotKnown = UINT64_MAX;

struct VmFigures {
  uint64_t vm_id = 0;  // 0: none with this index
  LoadFigures load;
  lockhost_mode mode = LOCKHOST_MODE_UNSPECIFIED;
  uint32_t live_vcpus = 0;
  std::array<uint64_t, kMaxKvmStats> kvm_stats{};
  BoostFigures boost;
};

struct HostFigures {
  uint64_t updated_at_ns = 0;  // CLOCK_MONOTONIC; 0: not yet
  uint32_t online_cpus = 0;
  uint32_t live_vcpus = 0;
  LoadFigures load;                        // of all VMs together
  std::array<double, 2> other_runnable{};  // threads that are no vCPU
  std::array<double, 2> overcommit{};      // (runnable vCPUs + others) / CPUs
  uint32_t counter_count = 0;
  uint32_t reserved = 0;
  char boost_mechanism[8] = {};  // "fifo", "nice"; "none": nothing is boosted
  char boost_reason[152] = {};   // why nothing, or not the best mechanism; empty: it is the best
  struct Counter {
    char id[40];
    uint64_t value;
  } counters[kMaxHostCounters] = {};
  VmFigures vms[kMaxVms] = {};  // by vm_index
};

// In shared memory. `sequence` is odd while the writer is at work (a seqlock).
struct HostPage {
  uint64_t magic;
  uint32_t version;
  uint32_t bytes;  // of the whole
  uint64_t sequence;
  HostFigures figures;
};

// Single writer: the agent's thread.
class HostPageWriter {
 public:
  static absl::StatusOr<std::unique_ptr<HostPageWriter>> Create();
  int fd() const { return memory_.fd(); }
  void Write(const HostFigures& figures);

 private:
  explicit HostPageWriter(SealedMemory memory) : memory_(std::move(memory)) {}
  HostPage& page() { return *static_cast<HostPage*>(memory_.data()); }
  SealedMemory memory_;
};

// Thread-safe. Owns the mapping; the descriptor stays the caller's, and may be closed.
class HostPageReader {
 public:
  // INVALID_ARGUMENT: the descriptor is no host page of this version.
  static absl::StatusOr<std::unique_ptr<HostPageReader>> Attach(int fd);
  // All of one moment; null when the writer was at work all the time (it has died there),
  // which takes 20 ms to find out.
  std::unique_ptr<HostFigures> Read() const;

 private:
  explicit HostPageReader(SealedView view) : view_(std::move(view)) {}
  SealedView view_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_TABLE_HOST_PAGE_H_
