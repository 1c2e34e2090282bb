// SPDX-License-Identifier: Apache-2.0
//
// A whole host of real programs, any of which can be killed, stopped and started again:
// lockhost-agent with BPF and pins of its own, lockhostd, and VMs: on real KVM, or, where
// there is none, of threads that stand in for vCPUs.
#ifndef LOCKHOST_TESTS_LOAD_SUPPORT_REAL_HOST_H_
#define LOCKHOST_TESTS_LOAD_SUPPORT_REAL_HOST_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/table/table_reader.h"
#include "tests/agent/support/temp_dir.h"
#include "tests/agent/support/vmm_process.h"
#include "tests/lab/harness/child_process.h"

namespace lockhost::load {

enum class Part { kAgent, kServer, kGuestAgent };
inline constexpr Part kParts[] = {Part::kAgent, Part::kServer, Part::kGuestAgent};
const char* NameOf(Part part);

// What a process has, by /proc.
struct Holdings {
  uint64_t rss_bytes = 0;
  size_t descriptors = 0;
};
Holdings HoldingsOf(pid_t pid);

struct HostPlan {
  int vms = 2;
  int vcpus_each = 2;
  std::chrono::microseconds tick{20'000};  // each vCPU wakes so often, and halts again
  bool guest_agent = true;                 // of the first VM
};

// Used by one thread, which must live as long as the host.
class RealHost {
 public:
  // Everything runs and every VM is served. UNAVAILABLE: cannot be had here, and why.
  static absl::StatusOr<std::unique_ptr<RealHost>> Start(const HostPlan& plan);
  ~RealHost();
  RealHost(const RealHost&) = delete;
  RealHost& operator=(const RealHost&) = delete;

  // REQUIRES for the first: it does not run.
  absl::Status Launch(Part part);
  void Kill(Part part);       // SIGKILL
  void Terminate(Part part);  // SIGTERM, and waits
  void Signal(Part part, int signal);
  // OK while all that were launched run; else how the first ended.
  absl::Status Check();
  pid_t pid(Part part) const { return running_.at(part).pid(); }

  bool is_kvm() const { return vms_.front().vmm->is_kvm(); }
  int vms() const { return static_cast<int>(vms_.size()); }
  int vcpus_each() const { return plan_.vcpus_each; }
  std::string SocketOf(int vm) const;
  const agent::TableReader& table(int vm) const { return *vms_[static_cast<size_t>(vm)].table; }
  void SignalVm(int vm, int signal) { vms_[static_cast<size_t>(vm)].vmm->Signal(signal); }
  // Whether the page of the guest agent holds a lease now, and has been given it since.
  bool GuestHasLease(uint64_t since_ns) const;

 private:
  struct Vm {
    std::unique_ptr<agent::VmmProcess> vmm;
    uint64_t vm_id = 0;
    std::unique_ptr<agent::TableReader> table = nullptr;
  };

  explicit RealHost(const HostPlan& plan) : plan_(plan) {}
  absl::Status MountPins();
  absl::Status StartVms();
  absl::Status FindVms();
  std::string AgentSocket() const { return directory_.path() + "/agent.sock"; }
  std::string Page(const std::string& name) const { return directory_.path() + "/" + name; }
  std::vector<std::string> ArgumentsOf(Part part) const;

  const HostPlan plan_;
  agent::TempDir directory_;
  std::string pins_;  // empty until mounted
  std::vector<Vm> vms_;
  std::map<Part, lab::ChildProcess> running_;
};

}  // namespace lockhost::load

#endif  // LOCKHOST_TESTS_LOAD_SUPPORT_REAL_HOST_H_
