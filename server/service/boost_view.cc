// SPDX-License-Identifier: Apache-2.0
#include "server/service/boost_view.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/service/host_figures.h"

namespace lockhost::server {
namespace {

using agent::BoostRecord;

uint64_t Since(uint64_t from_ns, uint64_t to_ns) { return to_ns > from_ns ? to_ns - from_ns : 0; }

// The wire's values are those of the log, after "unspecified".
static_assert(static_cast<int>(agent::BoostEnd::kStopped) + 1 == v1::BOOST_END_STOPPED);
static_assert(static_cast<int>(agent::BoostAsker::kHeir) + 1 == v1::BOOST_ASKER_HEIR);

void Fill(const BoostRecord& record, uint64_t now_ns, v1::Boost* boost) {
  const uint64_t from_ns = record.preempted_at_ns;
  boost->set_boost_id(record.id);
  boost->set_vcpu_id(record.vcpu_id);
  boost->set_asker(static_cast<v1::BoostAsker>(static_cast<int>(record.asker) + 1));
  boost->set_end(static_cast<v1::BoostEnd>(static_cast<int>(record.end) + 1));
  boost->set_preempted_age_ns(Since(from_ns, now_ns));
  boost->set_boosted_after_ns(Since(from_ns, record.raised_at_ns));
  if (record.running_at_ns != 0) boost->set_running_after_ns(Since(from_ns, record.running_at_ns));
  boost->set_ended_after_ns(Since(from_ns, record.ended_at_ns));
}

std::string WhyNobody(const agent::HostFigures* figures) {
  if (figures == nullptr) return "the agent has not said yet whether it boosts anybody";
  const std::string reason(agent::FieldText(figures->boost_reason));
  return absl::StrCat("this host boosts nobody", reason.empty() ? "" : ": ", reason);
}

// An agent that was restarted begins anew: what its log never had is none of its ids.
uint64_t KnownTo(const agent::BoostLogReader& log, uint64_t after_id) {
  return after_id != 0 && log.After(after_id - 1).empty() ? 0 : after_id;
}

}  // namespace

absl::StatusOr<v1::ListBoostsResponse> ListBoosts(const VmDirectory& directory,
                                                  const v1::ListBoostsRequest& request,
                                                  uint64_t now_ns) {
  const SourceState source = directory.source();
  if (!source.connected) return absl::UnavailableError("the agent is not connected");
  const VmDirectory::Record vm = directory.Find(request.vm_id());
  if (vm == nullptr) return absl::NotFoundError(absl::StrCat("vm_id: no VM ", request.vm_id()));
  const auto figures = ReadFigures(source);
  if (source.boost_log == nullptr || figures == nullptr || !Boosts(*figures)) {
    return absl::FailedPreconditionError(WhyNobody(figures.get()));
  }
  v1::ListBoostsResponse response;
  const uint32_t index = vm->facts().vm_index;
  const bool known = index < agent::kMaxVms && figures->vms[index].vm_id == request.vm_id();
  response.set_enabled(known && figures->vms[index].boost.enabled != 0);
  const uint64_t after_id = KnownTo(*source.boost_log, request.after_id());
  response.set_last_id(after_id);
  const std::vector<BoostRecord> records = source.boost_log->After(after_id);
  if (records.empty()) return response;
  response.set_missed(records.front().id - after_id - 1);
  response.set_last_id(records.back().id);
  for (const BoostRecord& record : records) {
    if (record.vm_id == request.vm_id()) Fill(record, now_ns, response.add_boosts());
  }
  return response;
}

}  // namespace lockhost::server
