// SPDX-License-Identifier: Apache-2.0
#include "server/service/vm_view.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/subscription/vcpu_hint.h"

namespace lockhost::server {
namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kMaxPage = 1000;

void FillVm(const VmRecord& record, v1::Vm* vm) {
  const VmFacts facts = record.facts();
  vm->set_vm_id(facts.vm_id);
  vm->set_pid(facts.pid);
  vm->set_vmm(facts.vmm);
  vm->set_name(facts.name);
  vm->set_uuid(facts.uuid);
  vm->set_vsock_cid(facts.vsock_cid);
  vm->set_vcpu_count(facts.vcpu_count);
  vm->set_generation(record.table()->generation());
  vm->set_socket_path(record.socket_path());
  vm->set_streams(record.counters().streams);
  vm->set_demand(record.counters().demand);
  vm->set_memory_bytes(facts.memory_bytes);
  vm->set_accelerator(facts.accelerator);
}

}  // namespace

absl::StatusOr<v1::ListVmsResponse> ListVms(const VmDirectory& directory,
                                            const v1::ListVmsRequest& request) {
  const SourceState source = directory.source();
  if (!source.connected) return absl::UnavailableError("the agent is not connected");
  uint64_t after = 0;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &after)) {
    return absl::InvalidArgumentError("page_token: not one of ours");
  }
  const uint32_t asked = request.page_size() == 0 ? kDefaultPage : request.page_size();
  const uint32_t page = asked < kMaxPage ? asked : kMaxPage;
  v1::ListVmsResponse response;
  response.set_source(SourceName(source.kind));
  response.set_source_reason(source.reason);
  // One more than asked for tells whether there is another page.
  for (const VmDirectory::Record& record : directory.List(after, size_t{page} + 1)) {
    if (static_cast<uint32_t>(response.vms_size()) == page) {
      response.set_next_page_token(absl::StrCat(response.vms(page - 1).vm_id()));
      break;
    }
    FillVm(*record, response.add_vms());
  }
  return response;
}

absl::StatusOr<v1::WatchVmResponse> DescribeVm(const VmDirectory& directory, uint64_t vm_id,
                                               uint64_t now_ns) {
  const VmDirectory::Record record = directory.Find(vm_id);
  if (record == nullptr) return absl::NotFoundError(absl::StrCat("vm_id: no VM ", vm_id));
  v1::WatchVmResponse response;
  FillVm(*record, response.mutable_vm());
  const VmRecord::Table table = record->table();
  for (uint32_t vcpu_id = 0; vcpu_id < table->slot_count(); ++vcpu_id) {
    if (table->ReadStateWord(vcpu_id) == 0) continue;
    FillVcpuHint(vcpu_id, table->Read(vcpu_id), now_ns, response.add_vcpus());
  }
  return response;
}

absl::StatusOr<uint64_t> WatchIntervalNs(const v1::WatchVmRequest& request) {
  if (request.interval_ns() == 0) return kDefaultIntervalNs;
  if (request.interval_ns() < kLeastIntervalNs || request.interval_ns() > kMostIntervalNs) {
    return absl::InvalidArgumentError("interval_ns: must be 0 or from 100 ms to 60 s");
  }
  return request.interval_ns();
}

}  // namespace lockhost::server
