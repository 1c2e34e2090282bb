// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/vmm/kvm_vm.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lockhost::lab {
namespace {

constexpr int kApiVersion = 12;
constexpr uint32_t kCpuidEntries = 256;

// struct kvm_cpuid2 ends in a flexible array, which C++ counts as one more element
// than C in some versions of the header; the size is part of the ioctl's number. So
// neither the struct nor the header's numbers are used: this is its fixed part.
struct CpuidHeader {
  uint32_t entries;
  uint32_t padding;
};
constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, CpuidHeader);
constexpr unsigned long kSetCpuid2 = _IOW(KVMIO, 0x90, CpuidHeader);

struct CpuidTable {
  CpuidHeader header;
  kvm_cpuid_entry2 entries[kCpuidEntries];
};

absl::StatusOr<std::vector<kvm_cpuid_entry2>> SupportedCpuid(int kvm) {
  CpuidTable table = {.header = {.entries = kCpuidEntries, .padding = 0}, .entries = {}};
  if (ioctl(kvm, kGetSupportedCpuid, &table) != 0) {
    return absl::ErrnoToStatus(errno, "KVM_GET_SUPPORTED_CPUID");
  }
  return std::vector<kvm_cpuid_entry2>(table.entries, table.entries + table.header.entries);
}

// Control register and EFER bits, Intel SDM volume 3, 2.5.
constexpr uint64_t kCr0 = 0x80050033;                    // PG, AM, WP, NE, ET, MP, PE
constexpr uint64_t kCr4 = 1u << 5 | 1u << 9 | 1u << 10;  // PAE, OSFXSR, OSXMMEXCPT
constexpr uint64_t kEfer = 1u << 8 | 1u << 10;           // LME, LMA
constexpr uint64_t kRflags = 1u << 1 | 3u << 12;         // always one; IOPL 3
constexpr uint8_t kUserRing = 3;

kvm_segment UserSegment(uint16_t index, uint8_t type, bool code) {
  kvm_segment segment = {};
  segment.limit = 0xffffffff;
  segment.selector = static_cast<uint16_t>(index << 3 | kUserRing);
  segment.type = type;
  segment.present = 1;
  segment.dpl = kUserRing;
  segment.s = 1;
  segment.l = code ? 1 : 0;
  segment.db = code ? 0 : 1;
  segment.g = 1;
  return segment;
}

}  // namespace

absl::StatusOr<KvmVm> KvmVm::Create() {
  KvmVm vm;
  vm.kvm_ = UniqueFd(open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!vm.kvm_.valid()) {
    return absl::UnavailableError(absl::StrCat("/dev/kvm: ", std::strerror(errno)));
  }
  const int version = ioctl(vm.kvm_.get(), KVM_GET_API_VERSION, 0);
  if (version != kApiVersion) {
    return absl::UnavailableError(absl::StrCat("/dev/kvm: API version ", version));
  }
  vm.vm_ = UniqueFd(ioctl(vm.kvm_.get(), KVM_CREATE_VM, 0));
  if (!vm.vm_.valid()) {
    return absl::UnavailableError(absl::StrCat("KVM_CREATE_VM: ", std::strerror(errno)));
  }
  const int run_bytes = ioctl(vm.kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (run_bytes < static_cast<int>(sizeof(kvm_run))) {
    return absl::UnavailableError("KVM_GET_VCPU_MMAP_SIZE: too small");
  }
  vm.run_bytes_ = static_cast<size_t>(run_bytes);
  absl::StatusOr<std::vector<kvm_cpuid_entry2>> cpuid = SupportedCpuid(vm.kvm_.get());
  if (!cpuid.ok()) return cpuid.status();
  vm.cpuid_ = *std::move(cpuid);
  return vm;
}

absl::Status KvmVm::SetSlot(uint32_t slot, uint64_t address, void* host, size_t bytes,
                            bool writable) {
  kvm_userspace_memory_region region = {};
  region.slot = slot;
  // A slot cannot be replaced, only removed and made anew.
  if (ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0 && bytes == 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("removing memory slot ", slot));
  }
  if (bytes == 0) return absl::OkStatus();
  region.flags = writable ? 0 : KVM_MEM_READONLY;
  region.guest_phys_addr = address;
  region.memory_size = bytes;
  region.userspace_addr = reinterpret_cast<uint64_t>(host);
  if (ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("memory slot ", slot, " of ", bytes, " bytes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<KvmVcpu> KvmVcpu::Create(const KvmVm& vm, uint32_t id, const VcpuStart& start) {
  KvmVcpu vcpu;
  vcpu.fd_ = UniqueFd(ioctl(vm.fd(), KVM_CREATE_VCPU, id));
  if (!vcpu.fd_.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("KVM_CREATE_VCPU ", id));
  absl::StatusOr<Mapping> run = Mapping::Map(vcpu.fd_.get(), vm.run_bytes(), /*writable=*/true);
  if (!run.ok()) return run.status();
  vcpu.run_ = *std::move(run);
  if (absl::Status set = vcpu.SetCpuid(vm); !set.ok()) return set;
  if (absl::Status set = vcpu.SetRegisters(start); !set.ok()) return set;
  vcpu.AlignTsc();
  return vcpu;
}

absl::Status KvmVcpu::SetCpuid(const KvmVm& vm) const {
  CpuidTable table = {};
  table.header.entries = static_cast<uint32_t>(vm.cpuid().size());
  std::memcpy(table.entries, vm.cpuid().data(), vm.cpuid().size() * sizeof(kvm_cpuid_entry2));
  if (ioctl(fd_.get(), kSetCpuid2, &table) != 0)
    return absl::ErrnoToStatus(errno, "KVM_SET_CPUID2");
  return absl::OkStatus();
}

absl::Status KvmVcpu::SetRegisters(const VcpuStart& start) const {
  kvm_sregs system = {};
  if (ioctl(fd_.get(), KVM_GET_SREGS, &system) != 0) {
    return absl::ErrnoToStatus(errno, "KVM_GET_SREGS");
  }
  system.cr0 = kCr0;
  system.cr3 = start.page_table;
  system.cr4 = kCr4;
  system.efer = kEfer;
  system.cs = UserSegment(1, /*type=*/11, /*code=*/true);
  system.ss = UserSegment(2, /*type=*/3, /*code=*/false);
  system.ds = system.es = system.fs = system.gs = system.ss;
  if (ioctl(fd_.get(), KVM_SET_SREGS, &system) != 0) {
    return absl::ErrnoToStatus(errno, "KVM_SET_SREGS");
  }
  kvm_regs registers = {};
  registers.rip = start.rip;
  registers.rsp = start.rsp;
  registers.rdi = start.rdi;
  registers.rsi = start.rsi;
  registers.rflags = kRflags;
  if (ioctl(fd_.get(), KVM_SET_REGS, &registers) != 0) {
    return absl::ErrnoToStatus(errno, "KVM_SET_REGS");
  }
  return absl::OkStatus();
}

// Asks for the host's own TSC in the guest. Where KVM cannot do that, the difference is
// measured when the guest tells its clock.
void KvmVcpu::AlignTsc() const {
  uint64_t offset = 0;
  kvm_device_attr attribute = {};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<uint64_t>(&offset);
  (void)ioctl(fd_.get(), KVM_SET_DEVICE_ATTR, &attribute);
}

absl::StatusOr<KvmVcpu::Exit> KvmVcpu::Run() {
  if (ioctl(fd_.get(), KVM_RUN, 0) != 0) {
    if (errno == EINTR || errno == EAGAIN) return Exit{.kind = Exit::Kind::kInterrupted};
    return absl::ErrnoToStatus(errno, "KVM_RUN");
  }
  switch (run()->exit_reason) {
    case KVM_EXIT_INTR:
      return Exit{.kind = Exit::Kind::kInterrupted};
    case KVM_EXIT_IO:
      return Exit{.kind = Exit::Kind::kPort, .port = run()->io.port};
    case KVM_EXIT_MMIO:
      return Exit{
          .kind = Exit::Kind::kOther, .reason = KVM_EXIT_MMIO, .address = run()->mmio.phys_addr};
    default:
      return Exit{.kind = Exit::Kind::kOther, .reason = run()->exit_reason};
  }
}

void KvmVcpu::Interrupt() const { __atomic_store_n(&run()->immediate_exit, 1, __ATOMIC_SEQ_CST); }

uint64_t KvmVcpu::rip() const {
  kvm_regs registers = {};
  return ioctl(fd_.get(), KVM_GET_REGS, &registers) == 0 ? registers.rip : 0;
}

}  // namespace lockhost::lab
