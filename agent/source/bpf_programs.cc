// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <set>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "vcpu_state.skel.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

// The first complaint of libbpf about what it was last asked to do: it says more than
// the errno that comes back.
thread_local std::string first_complaint;

int KeepFirstComplaint(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN || !first_complaint.empty()) return 0;
  char text[160];
  vsnprintf(text, sizeof(text), format, arguments);
  first_complaint = std::string(text).substr(0, std::string_view(text).find('\n'));
  return 0;
}

absl::Status LibbpfError(int error, const std::string& attempt) {
  const absl::Status plain = absl::ErrnoToStatus(error < 0 ? -error : error, attempt);
  if (first_complaint.empty()) return plain;
  return absl::Status(plain.code(), absl::StrCat(plain.message(), " (", first_complaint, ")"));
}

// bpffs keeps names with dots for itself.
std::string PinName(const char* prefix, const char* name) {
  std::string pin = absl::StrCat(prefix, name);
  std::replace(pin.begin(), pin.end(), '.', '_');
  return pin;
}

uint64_t Fnv1a(uint64_t hash, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

// Of code and configuration: only an agent that would load the very same may adopt.
uint64_t Fingerprint(const vcpu_state_bpf& skeleton) {
  size_t size = 0;
  const void* object = vcpu_state_bpf__elf_bytes(&size);
  const uint64_t hash = Fnv1a(0xcbf29ce484222325, object, size);
  return Fnv1a(hash, skeleton.rodata, sizeof(*skeleton.rodata));
}

struct PinnedProgram {
  bpf_program* program;
  const char* pin;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BpfPrograms>> BpfPrograms::Load(const BpfOptions& options) {
  libbpf_set_print(&KeepFirstComplaint);
  first_complaint.clear();
  std::unique_ptr<BpfPrograms> programs(new BpfPrograms);
  programs->skeleton_ = vcpu_state_bpf__open();
  if (programs->skeleton_ == nullptr) return LibbpfError(errno, "open the BPF object");
  for (const auto step : {&BpfPrograms::Configure, &BpfPrograms::OpenPins}) {
    if (absl::Status status = (*programs.*step)(options); !status.ok()) return status;
  }
  for (const auto step :
       {&BpfPrograms::ReuseMaps, &BpfPrograms::LoadObject, &BpfPrograms::PrepareStats,
        &BpfPrograms::MapVms, &BpfPrograms::Attach, &BpfPrograms::Pin}) {
    if (absl::Status status = (*programs.*step)(); !status.ok()) return status;
  }
  return programs;
}

BpfPrograms::~BpfPrograms() {
  if (vms_ != nullptr) munmap(vms_, sizeof(lh_vm) * LH_MAX_VMS);
  vcpu_state_bpf__destroy(skeleton_);
}

absl::Status BpfPrograms::Configure(const BpfOptions& options) {
  const auto offsets = ReadKvmOffsets(options.btf_directory);
  if (!offsets.ok()) return offsets.status();
  if (options.events_per_second == 0) {
    return absl::InvalidArgumentError("events_per_second must not be 0");
  }
  auto& rodata = *skeleton_->rodata;
  rodata.vcpu_notifier_offset = offsets->notifier;
  rodata.vcpu_kvm_offset = offsets->kvm;
  rodata.vcpu_id_offset = offsets->vcpu_id;
  rodata.vcpu_blocking_offset = offsets->blocking;
  rodata.event_pair_cost_ns = 2 * kNsPerSecond / options.events_per_second;
  rodata.event_burst_ns = rodata.event_pair_cost_ns * (options.event_burst / 2);
  return absl::OkStatus();
}

absl::Status BpfPrograms::OpenPins(const BpfOptions& options) {
  if (options.pin_directory.empty()) return absl::OkStatus();
  auto pins = BpfPins::Open(options.pin_directory, Fingerprint(*skeleton_));
  if (absl::IsFailedPrecondition(pins.status())) {
    notes_.push_back(
        absl::StrCat(pins.status().message(), "; nothing is pinned, all ends with this agent"));
    return absl::OkStatus();
  }
  if (!pins.ok()) return pins.status();
  pins_ = *std::move(pins);
  for (const std::string& name : pins_->RetireOthers()) {
    notes_.push_back(absl::StrCat("removed what another build of the agent had pinned: ", name));
  }
  adopted_ = CanAdopt();
  if (adopted_) return absl::OkStatus();
  // Also where an agent died between its first pin and its last.
  return pins_->StartAfresh();
}

bool BpfPrograms::CanAdopt() const {
  const std::vector<std::string> names = pins_->Names();
  const std::set<std::string> pinned(names.begin(), names.end());
  const bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    if (!pinned.contains(PinName("map_", bpf_map__name(map)))) return false;
  }
  for (const char* link : {"link_on_switch", "link_on_wakeup", "link_on_exit"}) {
    if (!pinned.contains(link)) return false;
  }
  return pinned.contains("prog_retire");
}

absl::Status BpfPrograms::ReuseMaps() {
  if (!adopted_) return absl::OkStatus();
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    const std::string path = pins_->Path(PinName("map_", bpf_map__name(map)));
    const UniqueFd fd(bpf_obj_get(path.c_str()));
    if (!fd.valid()) return LibbpfError(errno, absl::StrCat("take over ", path));
    if (const int error = bpf_map__reuse_fd(map, fd.get()); error != 0) {
      return LibbpfError(error, absl::StrCat("reuse ", path));
    }
  }
  // Still attached by their pinned links.
  for (bpf_program* program : {skeleton_->progs.on_switch, skeleton_->progs.on_wakeup,
                               skeleton_->progs.on_exit, skeleton_->progs.retire}) {
    bpf_program__set_autoload(program, false);
  }
  return absl::OkStatus();
}

absl::Status BpfPrograms::LoadObject() {
  const int error = vcpu_state_bpf__load(skeleton_);
  return error == 0 ? absl::OkStatus() : LibbpfError(error, "load the BPF programs");
}

// Before anything is attached. Frozen, because lockhostd is handed the array.
absl::Status BpfPrograms::PrepareStats() {
  if (adopted_) return absl::OkStatus();
  const int free_stats = bpf_map__fd(skeleton_->maps.free_stats);
  for (uint32_t index = 1; index < LOCKHOST_MAX_VCPU_STATS; ++index) {
    if (bpf_map_update_elem(free_stats, nullptr, &index, BPF_ANY) != 0) {
      return absl::ErrnoToStatus(errno, "fill the queue of free statistics records");
    }
  }
  if (bpf_map_freeze(bpf_map__fd(skeleton_->maps.vcpu_stats)) != 0) {
    return absl::ErrnoToStatus(errno, "freeze the statistics");
  }
  return absl::OkStatus();
}

absl::Status BpfPrograms::MapVms() {
  const int fd = bpf_map__fd(skeleton_->maps.vms);
  void* memory =
      mmap(nullptr, sizeof(lh_vm) * LH_MAX_VMS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "map the array of VMs");
  vms_ = static_cast<lh_vm*>(memory);
  return absl::OkStatus();
}

absl::Status BpfPrograms::Attach() {
  if (adopted_) return absl::OkStatus();
  auto& links = skeleton_->links;
  auto& programs = skeleton_->progs;
  for (const auto& [link, program] : {std::pair(&links.on_exit, programs.on_exit),
                                      std::pair(&links.on_wakeup, programs.on_wakeup),
                                      std::pair(&links.on_switch, programs.on_switch)}) {
    *link = bpf_program__attach(program);
    if (*link == nullptr) return LibbpfError(errno, "attach the BPF programs");
  }
  return absl::OkStatus();
}

absl::Status BpfPrograms::Pin() {
  if (adopted_ || pins_ == nullptr) return absl::OkStatus();
  const auto pin = [this](int fd, const std::string& name) {
    const std::string path = pins_->Path(name);
    const int error = bpf_obj_pin(fd, path.c_str());
    return error == 0 ? absl::OkStatus() : LibbpfError(error, absl::StrCat("pin ", path));
  };
  const int retire = bpf_program__fd(skeleton_->progs.retire);
  if (absl::Status status = pin(retire, "prog_retire"); !status.ok()) return status;
  const bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    const std::string name = PinName("map_", bpf_map__name(map));
    if (absl::Status status = pin(bpf_map__fd(map), name); !status.ok()) return status;
  }
  const auto& links = skeleton_->links;
  for (const auto& [link, name] :
       {std::pair(links.on_exit, "link_on_exit"), std::pair(links.on_wakeup, "link_on_wakeup"),
        std::pair(links.on_switch, "link_on_switch")}) {
    if (absl::Status status = pin(bpf_link__fd(link), name); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status BpfPrograms::Run(const lh_table_command& command) {
  lh_table_command input = command;
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &input, .ctx_size_in = sizeof(input));
  const int fd = bpf_program__fd(skeleton_->progs.table_command);
  if (bpf_prog_test_run_opts(fd, &options) != 0) return absl::ErrnoToStatus(errno, "write a table");
  if (options.retval != 0) return absl::InvalidArgumentError("table command out of range");
  return absl::OkStatus();
}

}  // namespace lockhost::agent
