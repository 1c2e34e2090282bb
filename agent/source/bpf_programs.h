// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_BPF_PROGRAMS_H_
#define LOCKHOST_AGENT_SOURCE_BPF_PROGRAMS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/bpf/shared.h"
#include "agent/kernel/kvm_offsets.h"
#include "agent/source/bpf_pins.h"
#include "common/unique_fd.h"

struct vcpu_state_bpf;

namespace lockhost::agent {

struct BpfOptions {
  std::string pin_directory = "/sys/fs/bpf/lockhost";  // empty: nothing is pinned
  std::string btf_directory = "/sys/kernel/btf";
  // Hint events of one VM, against a guest that would keep the host busy with them.
  uint32_t events_per_second = 5000;
  uint32_t event_burst = 500;
};

// The BPF object, loaded and attached: its maps and programs, and their pins. Where an
// earlier agent of the same build left its pins, maps and links are taken over as they
// are, and the programs have never stopped writing.
//
// Without pins everything ends with this object, or with the process.
// Not thread-safe.
class BpfPrograms {
 public:
  static absl::StatusOr<std::unique_ptr<BpfPrograms>> Load(const BpfOptions& options);
  ~BpfPrograms();

  // An earlier agent's maps are in use.
  bool adopted() const { return adopted_; }
  // Null when nothing is pinned.
  BpfPins* pins() const { return pins_.get(); }
  // What the operator should know, in sentences: pins that could not be made, ...
  const std::vector<std::string>& notes() const { return notes_; }

  vcpu_state_bpf& skeleton() { return *skeleton_; }
  // The array `vms`, shared with the programs.
  lh_vm& vm(uint32_t vm_index) { return vms_[vm_index]; }
  absl::Status Run(const lh_table_command& command);

 private:
  BpfPrograms() = default;
  absl::Status Configure(const BpfOptions& options);
  absl::Status OpenPins(const BpfOptions& options);
  bool CanAdopt() const;
  absl::Status ReuseMaps();
  absl::Status LoadObject();
  absl::Status Attach();
  absl::Status Pin();
  absl::Status PrepareStats();
  absl::Status MapVms();

  vcpu_state_bpf* skeleton_ = nullptr;
  std::unique_ptr<BpfPins> pins_;
  std::vector<std::string> notes_;
  lh_vm* vms_ = nullptr;
  bool adopted_ = false;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_BPF_PROGRAMS_H_
