// SPDX-License-Identifier: Apache-2.0
//
// The machine as a KVM microVM. No device, no interrupt, no kernel: each vCPU starts in
// the guest's lock loop in user mode, where lock code runs at native speed on every
// kind of KVM, and talks to the VMM by ports.
#include <pthread.h>
#include <signal.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/lab/vmm/kvm_vm.h"
#include "tests/lab/vmm/machine.h"

namespace lockhost::lab {
namespace {

constexpr std::chrono::seconds kStartTimeout{20};
constexpr LabAddress kRegionBase = 0x10000000;  // of the first region but RAM
constexpr LabAddress kRegionStep = 0x01000000;

// Only has to exist: a signal that is handled takes KVM_RUN and futex waits back.
void IgnoreKick(int) {}

int KickSignal() { return SIGRTMIN; }

// The guest's clock against ours, from one kClock call.
struct TscBracket {
  uint64_t width = UINT64_MAX;
  int64_t delta = 0;
};

class KvmMachine final : public Machine {
 public:
  KvmMachine(uint32_t vcpus, GuestMemory memory, KvmVm vm)
      : Machine(vcpus, std::move(memory)), vm_(std::move(vm)) {}
  ~KvmMachine() override;

  absl::Status Boot(std::span<const std::byte> image);
  bool is_kvm() const override { return true; }

 private:
  LabAddress AddressOf(Region region, void*) const override {
    if (region == Region::kRam) return 0;
    return kRegionBase + static_cast<LabAddress>(region) * kRegionStep;
  }
  absl::Status Attach(Region region, const AddressSpace::Entry& entry) override {
    return vm_.SetSlot(static_cast<uint32_t>(region), entry.address, entry.host, entry.bytes,
                       entry.writable);
  }
  absl::Status Detach(Region region) override {
    return vm_.SetSlot(static_cast<uint32_t>(region), 0, nullptr, 0, false);
  }

  void RunVcpu(uint32_t vcpu);
  absl::Status ServePort(uint32_t vcpu, uint16_t port);
  absl::Status Explain(uint32_t vcpu, const KvmVcpu::Exit& exit) const;
  void CompareClock(uint32_t vcpu, uint64_t guest_tsc, uint64_t before, uint64_t after);

  KvmVm vm_;
  std::vector<KvmVcpu> cpus_;
  std::vector<TscBracket> brackets_;
  std::vector<std::thread> threads_;
};

absl::Status KvmMachine::Boot(std::span<const std::byte> image) {
  memory_.WritePageTables();
  if (absl::Status loaded = memory_.LoadImage(image); !loaded.ok()) return loaded;
  absl::StatusOr<LabAddress> ram = Show(Region::kRam, memory_.data(), kRamBytes, true);
  if (!ram.ok()) return ram.status();
  PrepareRun();
  for (uint32_t i = 0; i < vcpus_; ++i) {
    absl::StatusOr<KvmVcpu> vcpu = KvmVcpu::Create(vm_, i,
                                                   {.page_table = kPageTables,
                                                    .rip = kImageBase,
                                                    .rsp = kStacks + (i + 1) * kStackBytes,
                                                    .rdi = kRunConfig,
                                                    .rsi = i});
    if (!vcpu.ok()) return vcpu.status();
    cpus_.push_back(*std::move(vcpu));
  }
  brackets_.resize(vcpus_);
  struct sigaction action = {};
  action.sa_handler = IgnoreKick;
  sigaction(KickSignal(), &action, nullptr);
  for (uint32_t i = 0; i < vcpus_; ++i) threads_.emplace_back([this, i] { RunVcpu(i); });
  return gate_.WaitUntilAllParked(kStartTimeout);
}

KvmMachine::~KvmMachine() {
  gate_.Close();
  for (const KvmVcpu& vcpu : cpus_) vcpu.Interrupt();
  for (std::thread& thread : threads_) {
    pthread_kill(thread.native_handle(), KickSignal());
    thread.join();
  }
}

void KvmMachine::RunVcpu(uint32_t vcpu) {
  EnterThread(vcpu);
  while (!gate_.closed()) {
    const uint64_t before = ReadTsc();
    absl::StatusOr<KvmVcpu::Exit> exit = cpus_[vcpu].Run();
    absl::Status served = exit.status();
    if (exit.ok() && exit->kind == KvmVcpu::Exit::Kind::kPort) {
      if (exit->port == static_cast<uint16_t>(Port::kClock)) {
        CompareClock(vcpu, memory_.block(vcpu).args.value, before, ReadTsc());
      } else {
        served = ServePort(vcpu, exit->port);
      }
    } else if (exit.ok() && exit->kind == KvmVcpu::Exit::Kind::kOther) {
      served = Explain(vcpu, *exit);
    }
    if (!served.ok()) {
      gate_.Fail(absl::StrCat("vCPU ", vcpu, ": ", served.message()));
      return;
    }
  }
}

absl::Status KvmMachine::ServePort(uint32_t vcpu, uint16_t port) {
  if (port == static_cast<uint16_t>(Port::kPark)) {
    gate_.Park();
    return absl::OkStatus();
  }
  const HypercallArgs args = memory_.block(vcpu).args;  // one copy: the guest may rewrite it
  const absl::StatusOr<uint64_t> answer = hypercalls_.Handle(port, args);
  if (!answer.ok()) return answer.status();
  memory_.block(vcpu).args.value = *answer;
  return absl::OkStatus();
}

absl::Status KvmMachine::Explain(uint32_t vcpu, const KvmVcpu::Exit& exit) const {
  if (exit.reason == KVM_EXIT_MMIO) {
    return absl::InternalError(absl::StrFormat("touched unmapped guest memory at %#x, rip %#x",
                                               exit.address, cpus_[vcpu].rip()));
  }
  return absl::InternalError(
      absl::StrFormat("unexpected KVM exit %u, rip %#x", exit.reason, cpus_[vcpu].rip()));
}

// The guest read its TSC between `before` and `after` on ours: keep the closest pair.
void KvmMachine::CompareClock(uint32_t vcpu, uint64_t guest_tsc, uint64_t before, uint64_t after) {
  TscBracket& best = brackets_[vcpu];
  if (after - before >= best.width) return;
  best.width = after - before;
  const bool same_clock = guest_tsc >= before && guest_tsc <= after;
  best.delta = same_clock ? 0 : static_cast<int64_t>(before + (after - before) / 2 - guest_tsc);
  memory_.block(vcpu).tsc_delta = best.delta;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Machine>> MakeKvmMachine(uint32_t vcpus,
                                                        std::span<const std::byte> image) {
  if (vcpus == 0 || vcpus > kMaxVcpus) {
    return absl::InvalidArgumentError(
        absl::StrCat(vcpus, " vCPUs; 1 to ", kMaxVcpus, " can be had"));
  }
  absl::StatusOr<KvmVm> vm = KvmVm::Create();
  if (!vm.ok()) return vm.status();
  absl::StatusOr<GuestMemory> memory = GuestMemory::Create();
  if (!memory.ok()) return memory.status();
  auto machine = std::make_unique<KvmMachine>(vcpus, *std::move(memory), *std::move(vm));
  if (absl::Status booted = machine->Boot(image); !booted.ok()) return booted;
  return std::unique_ptr<Machine>(std::move(machine));
}

}  // namespace lockhost::lab
