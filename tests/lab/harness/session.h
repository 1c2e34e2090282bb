// SPDX-License-Identifier: Apache-2.0
//
// A lab machine with everything beside it: pages, runner, and, while they are up, the
// daemons that watch it and serve it.
#ifndef LOCKHOST_TESTS_LAB_HARNESS_SESSION_H_
#define LOCKHOST_TESTS_LAB_HARNESS_SESSION_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "tests/lab/harness/agent_link.h"
#include "tests/lab/harness/daemons.h"
#include "tests/lab/harness/pages.h"
#include "tests/lab/harness/run_directory.h"
#include "tests/lab/harness/runner.h"
#include "tests/lab/vmm/machine.h"

namespace lockhost::lab {

enum class BackendChoice { kAuto, kKvm, kThreads };
std::optional<BackendChoice> BackendNamed(const std::string& name);

// Used by one thread, which must live as long as the session.
class Session {
 public:
  // kAuto: threads where /dev/kvm cannot be used; why_not_kvm() then says why.
  static absl::StatusOr<std::unique_ptr<Session>> Create(uint32_t vcpus, BackendChoice backend);

  Machine& machine() { return *machine_; }
  Pages& pages() { return *pages_; }
  Runner& runner() { return *runner_; }
  const std::string& why_not_kvm() const { return why_not_kvm_; }

  // Brings agent, lockhostd and guest agents up, and the VM's table into the guest.
  // REQUIRES: all vCPUs are parked (so for the next two as well).
  absl::Status StartDaemons();
  // The same over an agent that somebody else has started: table and reports alone.
  absl::Status UseAgent(const std::string& socket_path);
  // One run, as Runner::Run(); the agent is told which report page is in use.
  absl::StatusOr<RunResult> Run(const RunSpec& spec, const std::function<void()>& during = nullptr);
  // Keeps all vCPUs busy without a lock for that long; `boost` as in RunSpec.
  absl::Status Busy(std::chrono::milliseconds time, bool boost);
  // Ends what StartDaemons() brought up.
  absl::Status StopDaemons();
  // OK, or which daemon has died, and how.
  absl::Status CheckDaemons() { return daemons_ == nullptr ? absl::OkStatus() : daemons_->Check(); }
  // Null until StartDaemons() was called.
  Daemons* daemons() { return daemons_.get(); }

  // The agent's name for this VM. REQUIRES: an agent is there.
  uint64_t vm_id() const { return link_->vm().vm_id; }
  // What the agent works with; empty without an agent.
  const SourceFacts& source() const { return source_; }
  // Why holders cannot be boosted here; empty: they can. FAILED_PRECONDITION is what a run
  // of kLockhostBoost ends with then.
  const std::string& why_not_boosted() const { return why_not_boosted_; }
  // The table is the scheduler's own account, fit to judge others by.
  bool has_oracle() const { return source_.name == "bpf"; }

 private:
  Session() = default;
  void AwaitQuiet();
  absl::Status TellAgent(const RunSpec& spec);

  std::string why_not_kvm_;
  std::unique_ptr<RunDirectory> directory_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Pages> pages_;
  std::optional<Runner> runner_;
  std::unique_ptr<Daemons> daemons_;
  SourceFacts source_;
  std::string why_not_boosted_ = "no agent";
  std::optional<AgentLink> link_;
  const SharedMemory* shared_ = nullptr;  // the report page that the agent was told of
  std::optional<bool> boosted_;           // what it was told last
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_SESSION_H_
