// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_source.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "vcpu_state.skel.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kRetryAfterNs = 10 * kNsPerSecond;
constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO

template <typename T>
T Load(T& word) {
  return std::atomic_ref<T>(word).load(std::memory_order_acquire);
}
template <typename T>
void Store(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

// Programs see pids of the first namespace; in another one they would name strangers.
absl::Status CheckPidNamespace() {
  struct stat status;
  if (stat("/proc/self/ns/pid", &status) != 0) {
    return absl::ErrnoToStatus(errno, "look at the pid namespace");
  }
  if (status.st_ino == kInitialPidNamespace) return absl::OkStatus();
  return absl::FailedPreconditionError("not in the host's pid namespace");
}

uint64_t TicksOf(uint64_t boottime_ns) {
  return boottime_ns / (kNsPerSecond / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<BpfSource>> BpfSource::Create(const BpfOptions& options,
                                                             const Procfs* procfs, Clock clock) {
  if (absl::Status status = CheckPidNamespace(); !status.ok()) return status;
  auto programs = BpfPrograms::Load(options);
  if (!programs.ok()) return programs.status();
  std::unique_ptr<BpfSource> source(new BpfSource(*std::move(programs), procfs, clock));
  const int ring = bpf_map__fd(source->programs_->skeleton().maps.agent_events);
  source->ring_ = ring_buffer__new(ring, &BpfSource::OnAgentEvent, source.get(), nullptr);
  if (source->ring_ == nullptr) return absl::ErrnoToStatus(errno, "read the agent's ring");
  source->tables_ =
      std::make_unique<BpfTables>(bpf_map__fd(source->programs_->skeleton().maps.tables));
  if (source->programs_->adopted()) source->Adopt();
  source->tables_->Begin();
  return source;
}

BpfSource::~BpfSource() { ring_buffer__free(ring_); }

int BpfSource::hint_ring_fd() const { return bpf_map__fd(programs_->skeleton().maps.hint_ring); }
int BpfSource::interest_fd() const { return bpf_map__fd(programs_->skeleton().maps.interest); }
int BpfSource::stats_fd() const { return bpf_map__fd(programs_->skeleton().maps.vcpu_stats); }
std::optional<BoostFeed> BpfSource::boost_feed() const {
  const auto& maps = programs_->skeleton().maps;
  return BoostFeed{bpf_map__fd(maps.boost_ring), bpf_map__fd(maps.vms)};
}
int BpfSource::event_fd() const { return ring_buffer__epoll_fd(ring_); }
std::chrono::milliseconds BpfSource::poll_interval() { return std::chrono::seconds(1); }

int BpfSource::OnAgentEvent(void* self, void* data, size_t size) {
  auto* source = static_cast<BpfSource*>(self);
  const auto* event = static_cast<const lh_agent_event*>(data);
  if (size < sizeof(*event) || event->kind != LH_NEW_KVM) return 0;
  const ProcessId process{event->tgid, TicksOf(event->leader_start_ns)};
  source->pending_[event->kvm] = {process, source->clock_.now_ns()};
  source->sightings_.push_back({event->kvm, process});
  return 0;
}

absl::StatusOr<std::vector<VmSighting>> BpfSource::Poll() {
  sightings_.clear();
  const int count = ring_buffer__consume(ring_);
  if (count < 0) return absl::ErrnoToStatus(-count, "read the agent's ring");
  const uint64_t now = clock_.now_ns();
  if (now > kRetryAfterNs) RetryPending(now - kRetryAfterNs);
  return std::exchange(sightings_, {});
}

// The programs announce again what they no longer find in `kvms`.
void BpfSource::RetryPending(uint64_t told_before_ns) {
  const int kvms = bpf_map__fd(programs_->skeleton().maps.kvms);
  std::erase_if(pending_, [&](const auto& pending) {
    if (pending.second.told_at_ns > told_before_ns) return false;
    lh_kvm entry;
    if (bpf_map_lookup_elem(kvms, &pending.first, &entry) == 0 && entry.vm_index == LH_NO_VM) {
      bpf_map_delete_elem(kvms, &pending.first);
    }
    return true;
  });
}

absl::Status BpfSource::AddVm(const VmRecord& record) {
  const auto table = tables_->Take(record.vm_index);
  if (!table.ok()) return table.status();
  BpfPins* pins = programs_->pins();
  if (pins != nullptr && bpf_obj_pin(*table, pins->TablePath(record.vm_id).c_str()) != 0) {
    const absl::Status status = absl::ErrnoToStatus(errno, "pin a vCPU table");
    tables_->Release(record.vm_index);
    return status;
  }
  if (absl::Status status = Publish(record); !status.ok()) {
    Withdraw(record);
    return status;
  }
  pending_.erase(record.key);
  return absl::OkStatus();
}

int BpfSource::TableFd(const VmRecord& record) { return tables_->fd(record.vm_index); }

// The table is in place; then the VM, last the way to it: programs never find half of it.
absl::Status BpfSource::Publish(const VmRecord& record) {
  SetHeader(record, LOCKHOST_MODE_UNSPECIFIED, record.generation);
  lh_vm& vm = programs_->vm(record.vm_index);
  vm.kvm = record.key;
  vm.generation = record.generation;
  vm.start_ticks = record.process.start_ticks;
  vm.report_address = 0;
  vm.report_slots = 0;
  vm.tgid = record.process.pid;
  vm.live = 0;
  vm.seen = 0;
  vm.events_from = 0;
  Store(vm.boost_from_ns, UINT64_MAX);  // until a booster is there to answer
  Store(vm.heirs_from_ns, UINT64_MAX);
  std::fill(std::begin(vm.owner), std::end(vm.owner), 0);
  Store(vm.vm_id, record.vm_id);
  return record.key == 0 ? absl::OkStatus() : PublishKvm(record);
}

absl::Status BpfSource::PublishKvm(const VmRecord& record) {
  const int kvms = bpf_map__fd(programs_->skeleton().maps.kvms);
  lh_kvm entry;
  if (bpf_map_lookup_elem(kvms, &record.key, &entry) != 0 || entry.tgid != record.process.pid ||
      TicksOf(entry.leader_start_ns) != record.process.start_ticks) {
    return absl::NotFoundError("the VM has gone before it could be followed");
  }
  entry.vm_id = record.vm_id;
  entry.vm_index = record.vm_index;
  if (bpf_map_update_elem(kvms, &record.key, &entry, BPF_EXIST) != 0) {
    return absl::ErrnoToStatus(errno, "publish a VM");
  }
  return absl::OkStatus();
}

void BpfSource::RemoveVm(const VmRecord& record) {
  const int kvms = bpf_map__fd(programs_->skeleton().maps.kvms);
  lh_kvm entry;
  // The address may be another VM's by now.
  if (record.key != 0 && bpf_map_lookup_elem(kvms, &record.key, &entry) == 0 &&
      entry.vm_id == record.vm_id) {
    bpf_map_delete_elem(kvms, &record.key);
  }
  Withdraw(record);
  RetryPending(clock_.now_ns());
}

// vm_id first: without it the programs do nothing more for this VM.
void BpfSource::Withdraw(const VmRecord& record) {
  Store(programs_->vm(record.vm_index).vm_id, uint64_t{0});
  ForgetThreads(record);
  lh_table_command clear{};
  clear.operation = LH_CLEAR_SLOTS;
  clear.vm_index = record.vm_index;
  clear.end_slot = LOCKHOST_MAX_SLOTS;
  programs_->Run(clear).IgnoreError();  // fails only where there is no table any more
  SetHeader(record, LOCKHOST_MODE_UNSPECIFIED, 0);
  lh_table_command free_stats{};
  free_stats.operation = LH_FREE_STATS;
  free_stats.vm_index = record.vm_index;
  programs_->Run(free_stats).IgnoreError();
  tables_->Release(record.vm_index);
  if (programs_->pins() != nullptr) unlink(programs_->pins()->TablePath(record.vm_id).c_str());
}

VcpuCounts BpfSource::Counts(const VmRecord& record) {
  lh_vm& vm = programs_->vm(record.vm_index);
  const VcpuCounts counts{Load(vm.live), Load(vm.seen)};
  if (record.key != 0) return counts;
  // Registered threads count before they have run; the programs strike off what ends.
  return {CountLiving(record), std::max(counts.seen, CountLiving(record))};
}

void BpfSource::SetMode(const VmRecord& record, lockhost_mode mode) {
  SetHeader(record, mode, record.generation);
}

void BpfSource::SetHeader(const VmRecord& record, lockhost_mode mode, uint64_t generation) {
  lh_table_command header{};
  header.operation = LH_SET_HEADER;
  header.vm_index = record.vm_index;
  header.mode = mode;
  header.generation = generation;
  programs_->Run(header).IgnoreError();  // fails only where there is no table any more
}

absl::Status BpfSource::SetReportRegion(const VmRecord& record, uint64_t address,
                                        uint32_t slot_count) {
  lh_vm& vm = programs_->vm(record.vm_index);
  Store(vm.report_address, uint64_t{0});  // never an address with another region's count
  Store(vm.report_slots, slot_count);
  Store(vm.report_address, address);
  return absl::OkStatus();
}

bool BpfSource::ReportsReadable(const VmRecord& record) {
  return Load(programs_->vm(record.vm_index).report_address) != 0;
}

std::vector<SourceCounter> BpfSource::Counters() {
  std::vector<SourceCounter> counters = {
      {"hint events sent", 0, false, "hint_events"},
      {"hint events suppressed: a VM went over its budget", 0, true, "hint_events_suppressed"},
      {"hint events lost: ring full", 0, true, "hint_events_lost"},
      {"hint events not needed: displaced only briefly", 0, false, "hint_events_brief"},
      {"announcements put off: ring full", 0, true, "announcements_lost"},
      {"bindings put off: no memory", 0, true, "bind_failed"},
      {"vCPUs passed over: id too large", 0, true, "vcpu_id_out_of_range"},
      {"report words not readable at the switch", 0, false, "reports_unreadable"},
      {"vCPUs without statistics: too many", 0, true, "stats_exhausted"},
      {"boosts asked for", 0, false, "boosts_asked"},
      {"boosts not asked for: ring full", 0, true, "boosts_lost"},
  };
  static_assert(LH_COUNTER_COUNT == 11);
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return counters;
  std::vector<uint64_t> values(static_cast<size_t>(cpus));
  const int map = bpf_map__fd(programs_->skeleton().maps.counters);
  for (uint32_t i = 0; i < LH_COUNTER_COUNT; ++i) {
    if (bpf_map_lookup_elem(map, &i, values.data()) != 0) continue;
    for (uint64_t value : values) counters[i].value += value;
  }
  return counters;
}

}  // namespace lockhost::agent
