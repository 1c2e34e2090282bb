// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_LAB_FIXTURE_H_
#define LOCKHOST_TESTS_LAB_LAB_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/lab/harness/runner.h"

namespace lockhost::lab {

enum class Backend { kKvm, kThreads };

inline std::string NameOf(Backend backend) { return backend == Backend::kKvm ? "Kvm" : "Threads"; }

inline absl::StatusOr<std::unique_ptr<Machine>> MakeMachine(Backend backend, uint32_t vcpus) {
  return backend == Backend::kKvm ? MakeKvmMachine(vcpus, GuestImage()) : MakeThreadMachine(vcpus);
}

// A machine with its pages and a runner, on each backend in turn.
class LabTest : public testing::TestWithParam<Backend> {
 protected:
  // Skips the test where there is no /dev/kvm.
  void Boot(uint32_t vcpus) {
    absl::StatusOr<std::unique_ptr<Machine>> machine = MakeMachine(GetParam(), vcpus);
    if (absl::IsUnavailable(machine.status())) GTEST_SKIP() << machine.status();
    ASSERT_TRUE(machine.ok()) << machine.status();
    machine_ = *std::move(machine);
    absl::StatusOr<std::unique_ptr<Pages>> pages = Pages::Create(machine_.get());
    ASSERT_TRUE(pages.ok()) << pages.status();
    pages_ = *std::move(pages);
    absl::StatusOr<Runner> runner = Runner::Create(machine_.get(), pages_.get());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = std::make_unique<Runner>(*std::move(runner));
  }

  std::unique_ptr<Machine> machine_;
  std::unique_ptr<Pages> pages_;
  std::unique_ptr<Runner> runner_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_LAB_FIXTURE_H_
