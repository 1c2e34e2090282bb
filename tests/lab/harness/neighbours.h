// SPDX-License-Identifier: Apache-2.0
//
// What else wants the host's CPUs: processes that compute for ever, and where the vCPUs may
// run. Together they set the degree of overcommit.
#ifndef LOCKHOST_TESTS_LAB_HARNESS_NEIGHBOURS_H_
#define LOCKHOST_TESTS_LAB_HARNESS_NEIGHBOURS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lockhost::lab {

// A process for each hog. Each counts its turns. Killed at the end, also when this process is.
class Neighbours {
 public:
  // REQUIRES: called by a thread that lives as long as they are wanted.
  static absl::StatusOr<std::unique_ptr<Neighbours>> Start(uint32_t hogs);
  ~Neighbours();
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;

  const std::vector<pid_t>& pids() const { return pids_; }
  // Turns of all of them so far.
  uint64_t Turns() const;

 private:
  Neighbours(uint64_t* turns, uint32_t hogs) : turns_(turns), hogs_(hogs) {}
  uint64_t* turns_;  // shared memory, a cache line each
  const uint32_t hogs_;
  std::vector<pid_t> pids_;
};

// The three of the 2010 KVM patch series.
enum class Pinning {
  kEach,    // A: each vCPU, and each hog, has a CPU that it stays on, in turn
  kNone,    // B
  kOneCpu,  // C: all vCPUs on the first CPU
};
std::optional<Pinning> PinningNamed(const std::string& name);

// ABORTED: a thread could not be moved.
absl::Status Pin(Pinning pinning, std::span<const pid_t> vcpus, std::span<const pid_t> hogs);

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_NEIGHBOURS_H_
