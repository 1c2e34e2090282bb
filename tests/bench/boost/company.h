// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_BOOST_COMPANY_H_
#define LOCKHOST_TESTS_BENCH_BOOST_COMPANY_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/boost/cells.h"
#include "tests/bench/boost/neighbour_vm.h"
#include "tests/lab/harness/neighbours.h"

namespace lockhost::bench {

// Whoever wants the CPUs beside the VM under test, in one cell: there from Keep() on, ends
// with the object. Used by one thread, which must live as long.
class Company {
 public:
  // Also places `vcpus`, the threads of the VM under test, as the cell says.
  static absl::StatusOr<std::unique_ptr<Company>> Keep(const Cell& cell,
                                                       const std::vector<pid_t>& vcpus);

  // Turns of hogs, or acquisitions of the second VM.
  Work Done() const;
  // CPU time of all of them.
  absl::StatusOr<uint64_t> CpuNs() const;
  absl::Status Check() { return vm_ == nullptr ? absl::OkStatus() : vm_->Check(); }

 private:
  Company() = default;
  std::unique_ptr<lab::Neighbours> hogs_;
  std::unique_ptr<NeighbourVm> vm_;
};

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_BOOST_COMPANY_H_
