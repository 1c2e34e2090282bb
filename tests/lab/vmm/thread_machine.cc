// SPDX-License-Identifier: Apache-2.0
//
// The machine as plain threads: the guest's code built for the host, ports replaced by
// calls. For hosts without /dev/kvm; the host's scheduler preempts a thread as it would
// a vCPU, but everything that KVM tells about vCPUs is missing.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/lab/guest/guest.h"
#include "tests/lab/guest/hypercall.h"
#include "tests/lab/vmm/machine.h"

namespace lockhost::lab {
namespace {

constexpr std::chrono::seconds kStartTimeout{20};
constexpr std::chrono::seconds kEndTimeout{20};

class ThreadMachine;
thread_local ThreadMachine* this_machine = nullptr;
thread_local uint32_t this_vcpu = 0;

class ThreadMachine final : public Machine {
 public:
  ThreadMachine(uint32_t vcpus, GuestMemory memory) : Machine(vcpus, std::move(memory)) {}
  ~ThreadMachine() override;

  absl::Status Boot();
  bool is_kvm() const override { return false; }
  bool Serve(Port port);

 private:
  LabAddress AddressOf(Region, void* host) const override {
    return reinterpret_cast<LabAddress>(host);
  }
  absl::Status Attach(Region, const AddressSpace::Entry&) override { return absl::OkStatus(); }
  absl::Status Detach(Region) override { return absl::OkStatus(); }

  std::vector<std::thread> threads_;
};

absl::Status ThreadMachine::Boot() {
  absl::StatusOr<LabAddress> ram = Show(Region::kRam, memory_.data(), kRamBytes, true);
  if (!ram.ok()) return ram.status();
  PrepareRun();
  for (uint32_t i = 0; i < vcpus_; ++i) {
    threads_.emplace_back([this, i] {
      EnterThread(i);
      this_machine = this;
      this_vcpu = i;
      LockhostLabGuest(&memory_.config(), i);
    });
  }
  return gate_.WaitUntilAllParked(kStartTimeout);
}

ThreadMachine::~ThreadMachine() {
  RequestStop();
  if (!gate_.WaitUntilAllParked(kEndTimeout).ok()) {
    std::fputs("lockhost lab: a vCPU thread is stuck in the guest\n", stderr);
    std::_Exit(EXIT_FAILURE);
  }
  gate_.Close();
  for (std::thread& thread : threads_) thread.join();
}

bool ThreadMachine::Serve(Port port) {
  if (port == Port::kPark) return gate_.Park();
  if (port == Port::kClock) return true;  // our own TSC: nothing to compare
  const HypercallArgs args = memory_.block(this_vcpu).args;
  const absl::StatusOr<uint64_t> answer = hypercalls_.Handle(static_cast<uint16_t>(port), args);
  if (!answer.ok()) {
    gate_.Fail(absl::StrCat("vCPU ", this_vcpu, ": ", answer.status().message()));
    return false;
  }
  memory_.block(this_vcpu).args.value = *answer;
  return true;
}

}  // namespace

bool Hypercall(Port port) { return this_machine->Serve(port); }

absl::StatusOr<std::unique_ptr<Machine>> MakeThreadMachine(uint32_t vcpus) {
  if (vcpus == 0 || vcpus > kMaxVcpus) {
    return absl::InvalidArgumentError(
        absl::StrCat(vcpus, " vCPUs; 1 to ", kMaxVcpus, " can be had"));
  }
  absl::StatusOr<GuestMemory> memory = GuestMemory::Create();
  if (!memory.ok()) return memory.status();
  auto machine = std::make_unique<ThreadMachine>(vcpus, *std::move(memory));
  if (absl::Status booted = machine->Boot(); !booted.ok()) return booted;
  return std::unique_ptr<Machine>(std::move(machine));
}

}  // namespace lockhost::lab
