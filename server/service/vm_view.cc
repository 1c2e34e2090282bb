// SPDX-License-Identifier: Apache-2.0
#include "server/service/vm_view.h"

#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/table/host_page.h"
#include "server/service/host_figures.h"
#include "server/subscription/vcpu_hint.h"

namespace lockhost::server {
namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kMaxPage = 1000;

template <typename Counts>
uint64_t Sum(const Counts& by_asker) {
  uint64_t sum = 0;
  for (const auto& counts : by_asker) sum = std::accumulate(counts.begin(), counts.end(), sum);
  return sum;
}

void FillBoosts(const agent::BoostFigures& figures, uint64_t now_ns, v1::VmBoosts* boosts) {
  boosts->set_enabled(figures.enabled != 0);
  boosts->set_granted(Sum(figures.ended));
  boosts->set_denied(Sum(figures.denied));
  boosts->set_boosted_ns(figures.boosted_ns);
  boosts->set_budget_left_ns(agent::BudgetLeftNs(figures, now_ns));
  boosts->set_budget_share(figures.budget_share);
  boosts->set_debt_ns(figures.debt_ns);
  boosts->set_repays(figures.repays != 0);
}

uint64_t LockHolderPreemptions(const agent::TableReader& table) {
  uint64_t sum = 0;
  for (uint32_t vcpu_id = 0; vcpu_id < table.slot_count(); ++vcpu_id) {
    if (table.ReadStateWord(vcpu_id) != 0) sum += table.Read(vcpu_id).lock_holder_preemptions;
  }
  return sum;
}

void FillVm(const VmRecord& record, const agent::HostFigures* figures, uint64_t now_ns,
            v1::Vm* vm) {
  const VmFacts facts = record.facts();
  vm->set_vm_id(facts.vm_id);
  vm->set_pid(facts.pid);
  vm->set_vmm(facts.vmm);
  vm->set_name(facts.name);
  vm->set_uuid(facts.uuid);
  vm->set_vsock_cid(facts.vsock_cid);
  vm->set_vcpu_count(facts.vcpu_count);
  const VmRecord::Table table = record.table();
  vm->set_generation(table->generation());
  vm->set_mode(static_cast<v1::Mode>(table->mode()));
  vm->set_socket_path(record.socket_path());
  vm->set_streams(record.counters().streams);
  vm->set_demand(record.counters().demand);
  vm->set_memory_bytes(facts.memory_bytes);
  vm->set_accelerator(facts.accelerator);
  vm->set_lock_holder_preemptions(LockHolderPreemptions(*table));
  if (figures == nullptr || facts.vm_index >= agent::kMaxVms) return;
  const agent::VmFigures& load = figures->vms[facts.vm_index];
  if (load.vm_id == facts.vm_id) {
    vm->set_steal_ratio(load.load.steal_ratio[agent::LoadFigures::kLong]);
    if (Boosts(*figures)) FillBoosts(load.boost, now_ns, vm->mutable_boosts());
  }
}

void FillVcpus(const agent::TableReader& table, uint64_t now_ns,
               google::protobuf::RepeatedPtrField<v1::VcpuHint>* vcpus) {
  for (uint32_t vcpu_id = 0; vcpu_id < table.slot_count(); ++vcpu_id) {
    if (table.ReadStateWord(vcpu_id) == 0) continue;
    FillVcpuHint(vcpu_id, table.Read(vcpu_id), now_ns, vcpus->Add());
  }
}

}  // namespace

absl::StatusOr<v1::ListVmsResponse> ListVms(const VmDirectory& directory,
                                            const v1::ListVmsRequest& request, uint64_t now_ns) {
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
  const auto figures = ReadFigures(source);
  if (figures != nullptr) {
    response.set_overcommit_ratio(figures->overcommit[agent::LoadFigures::kLong]);
  }
  // One more than asked for tells whether there is another page.
  for (const VmDirectory::Record& record : directory.List(after, size_t{page} + 1)) {
    if (static_cast<uint32_t>(response.vms_size()) == page) {
      response.set_next_page_token(absl::StrCat(response.vms(page - 1).vm_id()));
      break;
    }
    v1::Vm* const vm = response.add_vms();
    FillVm(*record, figures.get(), now_ns, vm);
    if (request.include_vcpus()) FillVcpus(*record->table(), now_ns, vm->mutable_vcpus());
  }
  return response;
}

absl::StatusOr<v1::WatchVmResponse> DescribeVm(const VmDirectory& directory, uint64_t vm_id,
                                               uint64_t now_ns) {
  const VmDirectory::Record record = directory.Find(vm_id);
  if (record == nullptr) return absl::NotFoundError(absl::StrCat("vm_id: no VM ", vm_id));
  v1::WatchVmResponse response;
  FillVm(*record, ReadFigures(directory.source()).get(), now_ns, response.mutable_vm());
  FillVcpus(*record->table(), now_ns, response.mutable_vcpus());
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
