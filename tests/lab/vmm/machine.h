// SPDX-License-Identifier: Apache-2.0
//
// A lab machine: vCPUs that run the lab guest, park between runs, and share memory
// with the harness. Two kinds: a KVM microVM, and threads that stand in for vCPUs
// where /dev/kvm cannot be used. vCPU threads are named "lab-vcpu N".
#ifndef LOCKHOST_TESTS_LAB_VMM_MACHINE_H_
#define LOCKHOST_TESTS_LAB_VMM_MACHINE_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/lab/abi/lab_abi.h"
#include "tests/lab/vmm/address_space.h"
#include "tests/lab/vmm/clock_calibration.h"
#include "tests/lab/vmm/guest_memory.h"
#include "tests/lab/vmm/hypercalls.h"
#include "tests/lab/vmm/vcpu_gate.h"

namespace lockhost::lab {

// Used by one thread, the harness; vCPUs run on threads of the machine's own.
class Machine {
 public:
  // Ends the vCPUs. A stand-in thread that does not come out of the guest within some
  // seconds ends the process: there is no way to take a thread back.
  virtual ~Machine() = default;

  virtual bool is_kvm() const = 0;
  uint32_t vcpus() const { return vcpus_; }
  // Index = vCPU id.
  const std::vector<pid_t>& vcpu_tids() const { return tids_; }

  // Shows memory to the guest, replacing what `region` showed, and returns where the
  // guest finds it. `host` must stay mapped until Hide() or the machine's end.
  // REQUIRES: all vCPUs are parked; `host` is page-aligned.
  absl::StatusOr<LabAddress> Show(Region region, void* host, size_t bytes, bool writable);
  absl::Status Hide(Region region);

  // Sets up a run: everything cleared, addresses and clock filled in; the caller then
  // sets subject, loops and pages. REQUIRES: all vCPUs are parked.
  RunConfig& PrepareRun();
  void Start() { gate_.Open(); }
  // Tells the guest to leave its loop.
  void RequestStop() { __atomic_store_n(&memory_.config().stop, 1, __ATOMIC_RELAXED); }
  // See VcpuGate::WaitUntilAllParked.
  absl::Status WaitUntilAllParked(std::chrono::milliseconds timeout) {
    return gate_.WaitUntilAllParked(timeout);
  }

  const RunConfig& config() const { return memory_.config(); }
  const SharedArea& shared() const { return memory_.shared(); }
  // See Hypercalls::TakeRings().
  std::vector<uint64_t> TakeRings() { return hypercalls_.TakeRings(); }
  const VcpuStats& stats(uint32_t vcpu) const { return memory_.block(vcpu).stats; }

 protected:
  Machine(uint32_t vcpus, GuestMemory memory);

  virtual LabAddress AddressOf(Region region, void* host) const = 0;
  virtual absl::Status Attach(Region region, const AddressSpace::Entry& entry) = 0;
  virtual absl::Status Detach(Region region) = 0;

  // Names the calling vCPU thread, keeps all signals but real-time ones away from
  // it, makes its tid known.
  void EnterThread(uint32_t vcpu);

  const uint32_t vcpus_;
  GuestMemory memory_;
  AddressSpace space_;
  Hypercalls hypercalls_;
  VcpuGate gate_;
  ClockCalibration clock_;
  std::vector<pid_t> tids_;
};

// A KVM microVM running `image` (flat, loaded at kImageBase). Returns when all vCPUs
// are parked. UNAVAILABLE: no usable /dev/kvm, and why.
absl::StatusOr<std::unique_ptr<Machine>> MakeKvmMachine(uint32_t vcpus,
                                                        std::span<const std::byte> image);
// The same guest code in threads of this process.
absl::StatusOr<std::unique_ptr<Machine>> MakeThreadMachine(uint32_t vcpus);

// The lab guest's image, part of this program.
std::span<const std::byte> GuestImage();

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_VMM_MACHINE_H_
