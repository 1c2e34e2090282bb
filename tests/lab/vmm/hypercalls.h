// SPDX-License-Identifier: Apache-2.0
//
// The VMM's side of the ports. Everything a guest passes is checked here: the
// arguments are copied once, addresses must name a word of the region that the port
// is about, times are bounded. What is wrong ends that vCPU with a message; it never
// touches memory outside the guest's.
#ifndef LOCKHOST_TESTS_LAB_VMM_HYPERCALLS_H_
#define LOCKHOST_TESTS_LAB_VMM_HYPERCALLS_H_

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/lab/abi/lab_abi.h"
#include "tests/lab/vmm/address_space.h"

namespace lockhost::lab {

// Thread-safe as far as the address space is: one call at a time for each vCPU.
class Hypercalls {
 public:
  explicit Hypercalls(const AddressSpace* space) : space_(*space) {}

  // kWait, kKick, kRing, kPanic; the answer is for HypercallArgs.value. An error ends the
  // vCPU: INVALID_ARGUMENT names the bad argument, ABORTED carries the guest's own panic
  // message.
  absl::StatusOr<uint64_t> Handle(uint16_t port, const HypercallArgs& args);
  // When waiters rang the guest agent's bell since the last call, CLOCK_MONOTONIC in ns.
  std::vector<uint64_t> TakeRings();

 private:
  absl::StatusOr<uint64_t> Wait(const HypercallArgs& args) const;
  absl::StatusOr<uint64_t> Kick(const HypercallArgs& args) const;
  absl::StatusOr<uint64_t> Ring(const HypercallArgs& args);

  const AddressSpace& space_;
  std::mutex mutex_;
  std::vector<uint64_t> rings_;  // guarded by mutex_; the bell is armed some times a second
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_VMM_HYPERCALLS_H_
