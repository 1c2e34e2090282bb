// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/vm_registry.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lockhost::agent {
namespace {

constexpr int kCountBits = 11;

}  // namespace

absl::StatusOr<uint64_t> RandomGeneration() {
  uint64_t value = 0;
  while (value == 0) {
    if (getrandom(&value, sizeof(value), 0) != sizeof(value) && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "get random bytes for a generation");
    }
  }
  return value;
}

uint64_t VmIdAllocator::Next(uint64_t realtime_ms) {
  last_ = std::max(last_ + 1, realtime_ms << kCountBits);
  return last_;
}

void VmIdAllocator::Adopt(uint64_t vm_id) { last_ = std::max(last_, vm_id); }

std::optional<uint32_t> VmRegistry::FreeIndex() const {
  for (uint32_t i = 0; i < kMaxVms; ++i) {
    const uint32_t index = (next_index_ + i) % kMaxVms;
    if (!index_used_[index]) return index;
  }
  return std::nullopt;
}

absl::StatusOr<VmRecord> VmRegistry::MakeRecord(const VmSighting& sighting, uint64_t realtime_ms) {
  const auto free = FreeIndex();
  if (!free) {
    return absl::ResourceExhaustedError(
        absl::StrCat("already following ", kMaxVms, " VMs; this one gets no hints"));
  }
  const auto generation = RandomGeneration();
  if (!generation.ok()) return generation.status();
  VmRecord record;
  record.vm_id = ids_.Next(realtime_ms);
  record.vm_index = *free;
  record.key = sighting.key;
  record.process = sighting.process;
  record.generation = *generation;
  return record;
}

Vm* VmRegistry::Insert(Vm vm) {
  ids_.Adopt(vm.record.vm_id);
  index_used_[vm.record.vm_index] = true;
  next_index_ = vm.record.vm_index + 1;
  const uint64_t vm_id = vm.record.vm_id;
  return &vms_.insert_or_assign(vm_id, std::move(vm)).first->second;
}

void VmRegistry::Remove(uint64_t vm_id) {
  const auto vm = vms_.find(vm_id);
  if (vm == vms_.end()) return;
  index_used_[vm->second.record.vm_index] = false;
  vms_.erase(vm);
}

Vm* VmRegistry::Find(uint64_t vm_id) {
  const auto vm = vms_.find(vm_id);
  return vm == vms_.end() ? nullptr : &vm->second;
}

std::vector<Vm*> VmRegistry::OfProcess(const ProcessId& process) {
  std::vector<Vm*> found;
  for (auto& [id, vm] : vms_) {
    if (vm.record.process == process) found.push_back(&vm);
  }
  return found;
}

Vm* VmRegistry::FindSighted(const VmSighting& sighting) {
  for (Vm* vm : OfProcess(sighting.process)) {
    if (vm->record.key == sighting.key) return vm;
  }
  return nullptr;
}

}  // namespace lockhost::agent
