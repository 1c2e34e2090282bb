// SPDX-License-Identifier: Apache-2.0

// BpfSource, second part: what an earlier agent left behind, and registered threads.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <set>

#include "absl/status/status.h"
#include "agent/source/bpf_map_keys.h"
#include "agent/source/bpf_source.h"
#include "vcpu_state.skel.h"

namespace lockhost::agent {
namespace {

VmRecord RecordOf(const lh_vm& vm, uint32_t vm_index) {
  VmRecord record;
  record.vm_id = vm.vm_id;
  record.vm_index = vm_index;
  record.key = vm.kvm;
  record.process = {vm.tgid, vm.start_ticks};
  record.generation = vm.generation;
  return record;
}

}  // namespace

// VMs whose process is still the same go on as if nothing had happened; the others are
// cleared. vm_id was stored last, so what has one is complete.
void BpfSource::Adopt() {
  for (uint32_t i = 0; i < LH_MAX_VMS; ++i) {
    if (programs_->vm(i).vm_id == 0) continue;
    const VmRecord record = RecordOf(programs_->vm(i), i);
    UniqueFd table(bpf_obj_get(programs_->pins()->TablePath(record.vm_id).c_str()));
    const auto stat = procfs_->Stat(record.process.pid);
    if (table.valid() && stat && stat->start_ticks == record.process.start_ticks) {
      // Until this agent has a booster, too: the earlier one's may have died listening.
      programs_->vm(i).boost_from_ns = UINT64_MAX;
      programs_->vm(i).heirs_from_ns = UINT64_MAX;
      tables_->Adopt(i, std::move(table));
      adopted_.push_back(record);
    } else {
      RemoveVm(record);
    }
  }
  ForgetStrangers();
}

// Entries of VMs that are not followed: half-made ones, and VMs that were announced to
// an agent which did not live to hear of it. The programs announce those again.
void BpfSource::ForgetStrangers() {
  auto& maps = programs_->skeleton().maps;
  std::set<uint64_t> followed;
  for (const VmRecord& record : adopted_) followed.insert(record.vm_id);
  const int kvms = bpf_map__fd(maps.kvms);
  ForEachKey<uint64_t>(kvms, [&](uint64_t kvm) {
    lh_kvm entry;
    if (bpf_map_lookup_elem(kvms, &kvm, &entry) != 0 || followed.contains(entry.vm_id)) return;
    bpf_map_delete_elem(kvms, &kvm);
  });
  const int registered = bpf_map__fd(maps.registered);
  ForEachKey<uint32_t>(registered, [&](uint32_t tid) {
    lh_registration entry;
    if (bpf_map_lookup_elem(registered, &tid, &entry) != 0) return;
    if (!followed.contains(entry.vm_id)) {
      bpf_map_delete_elem(registered, &tid);
      return;
    }
    auto& tids = registered_[entry.vm_id];
    tids.resize(std::max<size_t>(tids.size(), entry.vcpu_id + 1));
    tids[entry.vcpu_id] = static_cast<int32_t>(tid);
  });
  CountRegistered();
  for (uint64_t vm_id : programs_->pins()->Tables()) {
    if (!followed.contains(vm_id)) unlink(programs_->pins()->TablePath(vm_id).c_str());
  }
}

absl::Status BpfSource::SetVcpuThreads(const VmRecord& record, std::span<const int32_t> tids) {
  const std::vector<int32_t> before = registered_[record.vm_id];
  for (size_t id = 0; id < before.size(); ++id) {
    const int32_t now = id < tids.size() ? tids[id] : 0;
    if (before[id] != 0 && before[id] != now) {
      ReleaseVcpu(record, static_cast<uint32_t>(id), static_cast<uint32_t>(before[id]));
    }
  }
  registered_[record.vm_id].assign(tids.begin(), tids.end());
  const int map = bpf_map__fd(programs_->skeleton().maps.registered);
  for (size_t id = 0; id < tids.size(); ++id) {
    if (tids[id] == 0) continue;
    const lh_registration entry{record.vm_id, record.vm_index, static_cast<uint32_t>(id),
                                record.process.pid, 0};
    if (bpf_map_update_elem(map, &tids[id], &entry, BPF_ANY) != 0) {
      const absl::Status status = absl::ErrnoToStatus(errno, "register a vCPU thread");
      ForgetThreads(record);
      return status;
    }
  }
  CountRegistered();
  return absl::OkStatus();
}

// The thread's binding is void from here on: it no longer owns the vCPU.
void BpfSource::ReleaseVcpu(const VmRecord& record, uint32_t vcpu_id, uint32_t tid) {
  bpf_map_delete_elem(bpf_map__fd(programs_->skeleton().maps.registered), &tid);
  lh_vm& vm = programs_->vm(record.vm_index);
  uint32_t owner = tid;
  if (!std::atomic_ref<uint32_t>(vm.owner[vcpu_id]).compare_exchange_strong(owner, 0)) return;
  std::atomic_ref<uint32_t>(vm.live).fetch_sub(1);
  lh_table_command clear{};
  clear.operation = LH_CLEAR_SLOTS;
  clear.vm_index = record.vm_index;
  clear.first_slot = vcpu_id;
  clear.end_slot = vcpu_id + 1;
  programs_->Run(clear).IgnoreError();  // REQUIRES of Source: the VM is followed
}

void BpfSource::ForgetThreads(const VmRecord& record) {
  const auto threads = registered_.find(record.vm_id);
  if (threads == registered_.end()) return;
  const int map = bpf_map__fd(programs_->skeleton().maps.registered);
  for (int32_t tid : threads->second) {
    lh_registration entry;
    if (tid == 0 || bpf_map_lookup_elem(map, &tid, &entry) != 0) continue;
    // The tid may be another VM's thread by now.
    if (entry.vm_id == record.vm_id) bpf_map_delete_elem(map, &tid);
  }
  registered_.erase(threads);
  CountRegistered();
}

uint32_t BpfSource::CountLiving(const VmRecord& record) const {
  const auto threads = registered_.find(record.vm_id);
  if (threads == registered_.end()) return 0;
  const int map = bpf_map__fd(programs_->skeleton().maps.registered);
  return static_cast<uint32_t>(
      std::count_if(threads->second.begin(), threads->second.end(), [&](int32_t tid) {
        lh_registration entry;
        return tid != 0 && bpf_map_lookup_elem(map, &tid, &entry) == 0 &&
               entry.vm_id == record.vm_id;
      }));
}

void BpfSource::CountRegistered() {
  uint32_t count = 0;
  for (const auto& [vm_id, tids] : registered_) {
    count += static_cast<uint32_t>(tids.size() - std::count(tids.begin(), tids.end(), 0));
  }
  std::atomic_ref<uint32_t>(programs_->skeleton().bss->registered_count)
      .store(count, std::memory_order_release);
}

}  // namespace lockhost::agent
