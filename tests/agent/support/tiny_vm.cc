// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/support/tiny_vm.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace lockhost::agent {
namespace {

constexpr size_t kMemoryBytes = 2 << 20;
constexpr uint64_t kPageTables = 0x1000;
constexpr uint64_t kCode = 0x8000;
constexpr uint64_t kStacks = 0x60000;
constexpr uint64_t kStealRecords = 0x40000;
constexpr uint32_t kStealTimeMsr = 0x4b564d03;

// loop: mov (%rdi),%eax; test %eax,%eax; jz loop; out %al,$0x10; jmp loop
constexpr uint8_t kSpinCode[] = {0x8b, 0x07, 0x85, 0xc0, 0x74, 0xfa, 0xe6, 0x10, 0xeb, 0xf6};
// loop: hlt; jmp loop
constexpr uint8_t kHaltCode[] = {0xf4, 0xeb, 0xfd};

// C++ gives struct kvm_cpuid2 and struct kvm_msrs other sizes than C, hence other ioctl numbers.
struct Cpuid {
  uint32_t count = 100;
  uint32_t padding = 0;
  kvm_cpuid_entry2 entries[100];
};
struct Msr {
  uint32_t count = 1;
  uint32_t padding = 0;
  kvm_msr_entry entry{};
};
constexpr unsigned long kGetSupportedCpuid = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, 8);
constexpr unsigned long kSetCpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, 8);
constexpr unsigned long kSetMsrs = _IOC(_IOC_WRITE, KVMIO, 0x89, 8);

absl::Status Errno(const char* attempt) { return absl::ErrnoToStatus(errno, attempt); }

void FillSegments(kvm_sregs& sregs, uint8_t level) {
  kvm_segment segment{};
  segment.limit = 0xffffffff;
  segment.selector = 8 | level;
  segment.present = 1;
  segment.type = 11;
  segment.dpl = level;
  segment.s = 1;
  segment.l = 1;
  segment.g = 1;
  sregs.cs = segment;
  segment.type = 3;
  segment.selector = 16 | level;
  segment.l = 0;
  segment.db = 1;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TinyVm>> TinyVm::Create(int vcpus, Guest guest, Backend backend) {
  std::unique_ptr<TinyVm> vm(new TinyVm(guest, backend));
  absl::Status made = vm->MapMemory();
  if (made.ok() && backend == Backend::kKvm) made = vm->MakeKvm(vcpus);
  if (!made.ok()) return made;
  vm->vcpus_.resize(static_cast<size_t>(vcpus));
  return vm;
}

absl::StatusOr<std::unique_ptr<TinyVm>> TinyVm::CreateAny(int vcpus, Guest guest) {
  auto vm = Create(vcpus, guest);
  return absl::IsUnavailable(vm.status()) ? Create(vcpus, guest, Backend::kThreads) : std::move(vm);
}

absl::Status TinyVm::MakeKvm(int vcpus) {
  kvm_.reset(open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm_.valid()) return absl::UnavailableError("no /dev/kvm that can be opened");
  vm_.reset(ioctl(kvm_.get(), KVM_CREATE_VM, 0));
  if (!vm_.valid()) return Errno("KVM_CREATE_VM");
  if (guest_ == Guest::kHalts && ioctl(vm_.get(), KVM_CREATE_IRQCHIP, 0) != 0) {
    return Errno("KVM_CREATE_IRQCHIP");
  }
  if (absl::Status status = GiveMemory(); !status.ok()) return status;
  run_bytes_ = static_cast<size_t>(ioctl(kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0));
  for (int id = 0; id < vcpus; ++id) {
    if (absl::Status status = MakeVcpu(id); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status TinyVm::MapMemory() {
  void* memory =
      mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Errno("map guest memory");
  memory_ = static_cast<uint8_t*>(memory);
  return absl::OkStatus();
}

absl::Status TinyVm::GiveMemory() {
  auto* tables = reinterpret_cast<uint64_t*>(memory_ + kPageTables);
  tables[0] = 0x2007;  // present, writable, user
  tables[512] = 0x3007;
  tables[1024] = 0x87;  // the same, as one page of 2 MiB
  if (guest_ == Guest::kSpins) {
    std::memcpy(memory_ + kCode, kSpinCode, sizeof(kSpinCode));
  } else {
    std::memcpy(memory_ + kCode, kHaltCode, sizeof(kHaltCode));
  }
  kvm_userspace_memory_region region{};
  region.memory_size = kMemoryBytes;
  region.userspace_addr = reinterpret_cast<uint64_t>(memory_);
  if (ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0) return Errno("guest memory");
  return absl::OkStatus();
}

absl::Status TinyVm::MakeVcpu(int id) {
  Vcpu vcpu;
  vcpu.fd.reset(ioctl(vm_.get(), KVM_CREATE_VCPU, id));
  if (!vcpu.fd.valid()) return Errno("KVM_CREATE_VCPU");
  void* run = mmap(nullptr, run_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd.get(), 0);
  if (run == MAP_FAILED) return Errno("map kvm_run");
  vcpu.run = static_cast<kvm_run*>(run);
  auto cpuid = std::make_unique<Cpuid>();
  if (ioctl(kvm_.get(), kGetSupportedCpuid, cpuid.get()) != 0) return Errno("get CPUID");
  if (ioctl(vcpu.fd.get(), kSetCpuid2, cpuid.get()) != 0) return Errno("set CPUID");
  if (absl::Status status = SetRegisters(vcpu, id); !status.ok()) return status;
  vcpus_.push_back(std::move(vcpu));
  return absl::OkStatus();
}

// 64-bit mode; spinning guests at CPL 3 with IOPL 3, so that they may use `out`.
absl::Status TinyVm::SetRegisters(const Vcpu& vcpu, int id) {
  const uint8_t level = guest_ == Guest::kSpins ? 3 : 0;
  kvm_sregs sregs{};
  if (ioctl(vcpu.fd.get(), KVM_GET_SREGS, &sregs) != 0) return Errno("KVM_GET_SREGS");
  sregs.cr3 = kPageTables;
  sregs.cr4 = (1 << 5) | (1 << 9) | (1 << 10);
  sregs.cr0 = 0x80050033;
  sregs.efer = 0x500;
  FillSegments(sregs, level);
  if (ioctl(vcpu.fd.get(), KVM_SET_SREGS, &sregs) != 0) return Errno("KVM_SET_SREGS");
  kvm_regs regs{};
  regs.rip = kCode;
  regs.rflags = 0x3002;
  regs.rsp = kStacks + static_cast<uint64_t>(id + 1) * 0x1000 - 8;
  regs.rdi = static_cast<uint64_t>(reinterpret_cast<uint8_t*>(command(id)) - memory_);
  if (ioctl(vcpu.fd.get(), KVM_SET_REGS, &regs) != 0) return Errno("KVM_SET_REGS");
  return absl::OkStatus();
}

TinyVm::~TinyVm() {
  for (size_t i = 0; i < threads_.size(); ++i) JoinThread(static_cast<int>(i));
  for (const Vcpu& vcpu : vcpus_) {
    if (vcpu.run != nullptr) munmap(vcpu.run, run_bytes_);
  }
  if (memory_ != nullptr) munmap(memory_, kMemoryBytes);
}

absl::Status TinyVm::KeepStealRecord(int vcpu) {
  Msr msrs;
  msrs.entry.index = kStealTimeMsr;
  msrs.entry.data = (kStealRecords + static_cast<uint64_t>(vcpu) * 64) | 1;  // 1: enabled
  const int fd = vcpus_[static_cast<size_t>(vcpu)].fd.get();
  return ioctl(fd, kSetMsrs, &msrs) == 1 ? absl::OkStatus() : Errno("set MSR_KVM_STEAL_TIME");
}

uint64_t TinyVm::GuestStealNs(int vcpu) const {
  auto* record =
      reinterpret_cast<uint64_t*>(memory_ + kStealRecords + static_cast<size_t>(vcpu) * 64);
  return std::atomic_ref(*record).load();  // its first field
}

absl::StatusOr<UniqueFd> TinyVm::OpenStats(int vcpu) const {
  UniqueFd stats(ioctl(vcpus_[static_cast<size_t>(vcpu)].fd.get(), KVM_GET_STATS_FD, 0));
  if (!stats.valid()) return Errno("KVM_GET_STATS_FD");
  return stats;
}

}  // namespace lockhost::agent
