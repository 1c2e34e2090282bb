// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_TABLE_BOOST_LOG_H_
#define LOCKHOST_AGENT_TABLE_BOOST_LOG_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/table/sealed_memory.h"

// What became of the latest boosts, in shared memory: written by the booster with plain
// stores, so that it costs nobody a wake-up, and read by who wants to trace.
namespace lockhost::agent {

// Who asked for a boost.
enum class BoostAsker : uint32_t {
  kDirect,  // BPF, by the vCPU's report word
  kGrpc,    // the guest, by a message to lockhostd
  kHeir,    // BPF, for one that is to take a lock on behalf of those who sleep
};
inline constexpr std::string_view kBoostAskerNames[] = {"direct", "grpc", "heir"};
inline constexpr size_t kBoostAskers = std::size(kBoostAskerNames);

// How a boost ended.
enum class BoostEnd : uint32_t {
  kReleased,  // the lock that it was for was let go
  kHalted,    // the vCPU went to sleep, or back to its VMM
  kTimedOut,
  kGone,     // the thread ended, or no longer runs that vCPU
  kStopped,  // boosts were switched off, the VM went, or a holder came before an heir
};
inline constexpr std::string_view kBoostEndNames[] = {"released", "halted", "timed_out", "gone",
                                                      "stopped"};
inline constexpr size_t kBoostEnds = std::size(kBoostEndNames);

// Why a request was not granted.
enum class BoostDenial : uint32_t {
  kStale,     // the preemption it speaks of is over
  kAgain,     // the vCPU was boosted for that preemption already
  kOff,       // switched off for the VM or the host
  kVmBudget,  // the VM has used up its share
  kHostBudget,
  kAtOnce,       // as many as may be are boosted already
  kNotOrdinary,  // the thread is real time, deadline or idle
  kRefused,      // the kernel would not
};
inline constexpr std::string_view kBoostDenialNames[] = {
    "stale", "again", "off", "vm_budget", "host_budget", "at_once", "not_ordinary", "refused"};
inline constexpr size_t kBoostDenials = std::size(kBoostDenialNames);

// Times are CLOCK_MONOTONIC in ns.
struct BoostRecord {
  uint64_t id = 0;  // 1, 2, ...
  uint64_t vm_id = 0;
  uint32_t vcpu_id = 0;
  BoostEnd end = BoostEnd::kReleased;
  BoostAsker asker = BoostAsker::kDirect;
  uint32_t reserved = 0;
  uint64_t preempted_at_ns = 0;  // since when it was, and was waited for
  uint64_t raised_at_ns = 0;
  uint64_t running_at_ns = 0;  // back on a CPU; 0: not before the end
  uint64_t ended_at_ns = 0;

  bool operator==(const BoostRecord&) const = default;
};

// Of one VM, since it was found.
struct BoostFigures {
  std::array<std::array<uint64_t, kBoostEnds>, kBoostAskers> ended{};
  std::array<std::array<uint64_t, kBoostDenials>, kBoostAskers> denied{};
  uint64_t boosted_ns = 0;       // for which a boosted vCPU had a CPU
  int64_t budget_left_ns = 0;    // at updated_at_ns; it fills up by itself, see BudgetLeftNs()
  double budget_share = 0;       // by which it fills up, of one CPU
  uint64_t budget_burst_ns = 0;  // up to here
  uint64_t updated_at_ns = 0;    // CLOCK_MONOTONIC
  uint64_t debt_ns = 0;          // boosted time that is still to be made up for
  uint64_t enabled = 0;
  uint64_t repays = 0;  // 0: what it is boosted for cannot be collected, so it is boosted less

  bool operator==(const BoostFigures&) const = default;
};

// What the budget has come to since. Pure.
int64_t BudgetLeftNs(const BoostFigures& figures, uint64_t now_ns);

struct BoostLog;

// Single writer.
class BoostLogWriter {
 public:
  static absl::StatusOr<BoostLogWriter> Create();
  int fd() const { return memory_.fd(); }
  // Fills in the id.
  void Append(BoostRecord record);

 private:
  explicit BoostLogWriter(SealedMemory memory) : memory_(std::move(memory)) {}
  SealedMemory memory_;
  uint64_t last_id_ = 0;
};

// Thread-safe. The descriptor stays the caller's, and may be closed.
class BoostLogReader {
 public:
  static constexpr size_t kKept = 1024;  // latest records

  // INVALID_ARGUMENT: no boost log of this version.
  static absl::StatusOr<std::unique_ptr<BoostLogReader>> Attach(int fd);
  // Those after `id` that are still kept, oldest first; what is being overwritten is left out.
  std::vector<BoostRecord> After(uint64_t id) const;

 private:
  explicit BoostLogReader(SealedView view) : view_(std::move(view)) {}
  SealedView view_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_TABLE_BOOST_LOG_H_
