// SPDX-License-Identifier: Apache-2.0
#include "server/directory/vm_directory.h"

#include <utility>

#include "agent/channel/packet.h"

namespace lockhost::server {

VmFacts VmFacts::FromMessage(const agent::VmMessage& message) {
  return {.vm_id = message.vm_id,
          .vm_index = message.vm_index,
          .pid = message.pid,
          .vcpu_count = message.vcpu_count,
          .vsock_cid = message.vsock_cid,
          .source = message.source,
          .reports_readable = message.reports_readable != 0,
          .memory_bytes = message.memory_bytes,
          .accelerator = std::string(agent::FieldText(message.accelerator)),
          .vmm = std::string(agent::FieldText(message.vmm)),
          .name = std::string(agent::FieldText(message.name)),
          .uuid = std::string(agent::FieldText(message.uuid))};
}

const char* SourceName(agent::SourceKind kind) {
  switch (kind) {
    case agent::SourceKind::kBpf:
      return "bpf";
    case agent::SourceKind::kPerf:
      return "perf";
    case agent::SourceKind::kProcfs:
      return "procfs";
    case agent::SourceKind::kUnspecified:
      break;
  }
  return "unspecified";
}

void VmDirectory::Put(Record record) {
  const std::lock_guard lock(mutex_);
  const uint64_t vm_id = record->vm_id();
  vms_[vm_id] = std::move(record);
}

VmDirectory::Record VmDirectory::Remove(uint64_t vm_id) {
  const std::lock_guard lock(mutex_);
  const auto found = vms_.find(vm_id);
  if (found == vms_.end()) return nullptr;
  Record record = std::move(found->second);
  vms_.erase(found);
  return record;
}

VmDirectory::Record VmDirectory::Find(uint64_t vm_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = vms_.find(vm_id);
  return found == vms_.end() ? nullptr : found->second;
}

std::vector<VmDirectory::Record> VmDirectory::List(uint64_t after, size_t limit) const {
  const std::lock_guard lock(mutex_);
  std::vector<Record> records;
  for (auto at = vms_.upper_bound(after); at != vms_.end() && records.size() < limit; ++at) {
    records.push_back(at->second);
  }
  return records;
}

std::vector<VmDirectory::Record> VmDirectory::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<Record> records;
  records.reserve(vms_.size());
  for (const auto& [vm_id, record] : vms_) records.push_back(record);
  return records;
}

void VmDirectory::SetSource(SourceState source) {
  const std::lock_guard lock(mutex_);
  source_ = std::move(source);
}

SourceState VmDirectory::source() const {
  const std::lock_guard lock(mutex_);
  return source_;
}

}  // namespace lockhost::server
