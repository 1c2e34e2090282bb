// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DAEMON_BOOSTS_H_
#define LOCKHOST_AGENT_DAEMON_BOOSTS_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "agent/boost/boost_thread.h"
#include "agent/boost/ledger.h"
#include "agent/boost/undo_helper.h"
#include "agent/registry/vm.h"
#include "agent/source/source.h"

namespace lockhost::agent {

struct BoostOptions {
  std::string mechanism = "none";  // "auto", "none", or one of kBoostMechanismNames
  std::string ledger_path;         // empty: in memory
  BoostLimits limits;
};

// The agent's boosts as a whole: what an earlier agent left is undone, the helper waits that
// undoes what this one might leave, and there is a booster while the source can feed one.
// Not thread-safe.
class Boosts {
 public:
  // REQUIRES: the process has one thread, if the mechanism is not "none". INVALID_ARGUMENT:
  // options out of range.
  static absl::StatusOr<std::unique_ptr<Boosts>> Create(const BoostOptions& options, Clock clock);

  // From now on boosts come from that source; null: from none.
  void Use(Source* source);
  void AddVm(const Vm& vm);
  void RemoveVm(const VmRecord& record);
  // nullopt: every VM, also those to come. FAILED_PRECONDITION: nothing can be boosted.
  absl::Status SetEnabled(std::optional<uint32_t> vm_index, bool enabled);

  // Finds out whether what the VM is boosted for can be collected from it. To be called now
  // and then: its threads may be moved to other cgroups.
  void LookAtCgroup(const Vm& vm, const std::string& sysfs_root);

  BoostFigures Figures(uint32_t vm_index) const;
  int log_fd() const { return thread_ == nullptr ? -1 : thread_->log_fd(); }
  int requests_fd() const { return thread_ == nullptr ? -1 : thread_->requests_fd(); }
  bool requests_ended() const { return thread_ != nullptr && thread_->requests_ended(); }
  BoostMechanism mechanism() const;
  // Why nothing, or not the best mechanism, is in use; empty otherwise.
  const std::string& reason() const { return reason_; }
  // Threads that an earlier agent had left boosted.
  int undone() const { return undone_; }

 private:
  Boosts(Procfs procfs, const BoostLimits& limits, Clock clock)
      : procfs_(std::move(procfs)), limits_(limits), clock_(clock) {}
  absl::Status Prepare(const BoostOptions& options);

  Procfs procfs_;
  const BoostLimits limits_;
  const Clock clock_;
  BoostMechanism chosen_ = BoostMechanism::kNone;
  std::string reason_;
  int undone_ = 0;
  bool enabled_ = true;
  std::optional<Ledger> ledger_;
  std::optional<UndoHelper> helper_;
  std::unique_ptr<BoostThread> thread_;
};

// Gives back what agents that have died left boosted: the unit's stop hook. Returns how many
// threads that were. REQUIRES: no agent uses the ledger.
absl::StatusOr<int> UndoBoosts(const std::string& ledger_path);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_DAEMON_BOOSTS_H_
