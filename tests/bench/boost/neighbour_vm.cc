// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boost/neighbour_vm.h"

#include <chrono>
#include <ctime>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/bench/boost/figures.h"
#include "tests/lab/harness/session.h"

namespace lockhost::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kStartTimeout{30};
constexpr std::chrono::milliseconds kTellEvery{10};
constexpr std::chrono::hours kForEver{24};

// Written by the neighbour, read by the harness.
struct Told {
  uint64_t done;
  uint64_t at_ns;  // stored last; 0: its vCPUs do not run yet
  int32_t tids[lab::kMaxVcpus];
};

void Tell(lab::Machine& machine, Told* told) {
  uint64_t done = 0;
  for (uint32_t i = 0; i < machine.vcpus(); ++i) {
    done += __atomic_load_n(&machine.stats(i).acquisitions, __ATOMIC_RELAXED);
  }
  __atomic_store_n(&told->done, done, __ATOMIC_RELAXED);
  __atomic_store_n(&told->at_ns, NowNs(), __ATOMIC_RELEASE);
}

}  // namespace

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

absl::StatusOr<std::unique_ptr<NeighbourVm>> NeighbourVm::Start(uint32_t vcpus) {
  std::unique_ptr<NeighbourVm> vm(new NeighbourVm);
  absl::StatusOr<std::unique_ptr<lab::RunDirectory>> directory = lab::RunDirectory::Create();
  if (!directory.ok()) return directory.status();
  vm->directory_ = *std::move(directory);
  absl::StatusOr<lab::SharedMemory> memory =
      lab::SharedMemory::Create("lockhost-neighbour", sizeof(Told));
  if (!memory.ok()) return memory.status();
  vm->memory_ = *std::move(memory);
  absl::StatusOr<lab::ChildProcess> process =
      lab::ChildProcess::Start({.name = "neighbour VM",
                                .argv = {"/proc/self/exe", absl::StrCat("--neighbour_vm=", vcpus),
                                         absl::StrCat("--neighbour_fd=", vm->memory_.fd())},
                                .user = std::nullopt,
                                .inherited_fds = {vm->memory_.fd()},
                                .log_path = vm->directory_->path() + "/log"});
  if (!process.ok()) return process.status();
  vm->process_ = *std::move(process);
  const auto deadline = steady_clock::now() + kStartTimeout;
  while (vm->Done().at_ns == 0) {
    if (absl::Status alive = vm->Check(); !alive.ok()) return alive;
    if (steady_clock::now() >= deadline) return absl::DeadlineExceededError("the second VM");
    std::this_thread::sleep_for(kTellEvery);
  }
  const auto* told = static_cast<const Told*>(vm->memory_.data());
  vm->tids_.assign(told->tids, told->tids + vcpus);
  return vm;
}

Work NeighbourVm::Done() const {
  const auto* told = static_cast<const Told*>(memory_.data());
  const uint64_t at_ns = __atomic_load_n(&told->at_ns, __ATOMIC_ACQUIRE);
  return {.done = __atomic_load_n(&told->done, __ATOMIC_RELAXED), .at_ns = at_ns};
}

absl::Status BeNeighbourVm(uint32_t vcpus, int fd) {
  absl::StatusOr<lab::Mapping> memory = lab::Mapping::Map(fd, sizeof(Told), /*writable=*/true);
  if (!memory.ok()) return memory.status();
  auto* told = static_cast<Told*>(memory->data());
  absl::StatusOr<std::unique_ptr<lab::Session>> session =
      lab::Session::Create(vcpus, lab::BackendChoice::kAuto);
  if (!session.ok()) return session.status();
  lab::Machine& machine = (*session)->machine();
  for (uint32_t i = 0; i < vcpus; ++i) told->tids[i] = machine.vcpu_tids()[i];
  return (*session)
      ->Run({.subject = lab::Subject::kSpinThenFutex,
             .critical_ns = kCriticalNs,
             .gap_ns = kGapNs,
             .duration = kForEver},
            [&] {
              std::this_thread::sleep_for(kTellEvery);
              Tell(machine, told);
            })
      .status();
}

}  // namespace lockhost::bench
