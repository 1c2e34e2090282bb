// SPDX-License-Identifier: Apache-2.0
#include "server/service/report_call.h"

#include <utility>

#include "server/service/report_check.h"
#include "server/service/vm_server.h"

namespace lockhost::server {
namespace {

// The guest agent sends at most some 25 a second for demand, and 200 for preempted holders; a
// guest with several is still fine.
constexpr uint32_t kReportsPerSecond = 500;
constexpr uint32_t kReportBurst = 200;

}  // namespace

ReportCall::ReportCall(VmServer* server)
    : server_(server), reader_(&context_), rate_(kReportsPerSecond, kReportBurst) {
  server->service()->RequestReportHolders(&context_, &reader_, server->queue(), server->queue(),
                                          tag());
}

ReportCall::~ReportCall() {
  if (counted_) --server_->open_reports;
}

void ReportCall::Proceed(bool ok) {
  if (server_->closed()) return delete this;
  switch (step_) {
    case Step::kAccepting:
      return ok ? Accepted() : delete this;
    case Step::kReading:
      if (!ok) return Finish(absl::OkStatus());  // the guest has said all
      if (const absl::Status taken = Take(); !taken.ok()) return Finish(taken);
      return Read();
    case Step::kFinishing:
      delete this;
  }
}

void ReportCall::Accepted() {
  AcceptNext(server_);
  counted_ = true;
  if (++server_->open_reports > server_->max_streams()) {
    server_->record()->counters().streams_refused.fetch_add(1);
    return Finish(absl::ResourceExhaustedError("this VM has too many report streams"));
  }
  Read();
}

void ReportCall::Read() {
  step_ = Step::kReading;
  reader_.Read(&request_, tag());
}

absl::Status ReportCall::Take() {
  VmCounters& counters = server_->record()->counters();
  if (!rate_.Take(server_->clock().now_ns())) {
    counters.reports_too_fast.fetch_add(1);
    return absl::ResourceExhaustedError("reports come too fast");
  }
  const VmRecord::Table table = server_->record()->table();
  if (absl::Status sound = CheckReport(request_, table->slot_count()); !sound.ok()) {
    counters.reports_invalid.fetch_add(1);
    return sound;
  }
  DemandUpdate update;
  update.has_demand = request_.has_demand();
  update.ttl_ns = request_.demand().ttl_ns();
  // Holders named for an old generation are other vCPUs' or nobody's; demand is demand.
  if (request_.generation() != server_->publisher()->GenerationOf(*table)) {
    counters.reports_outdated.fetch_add(1);
    response_.set_outdated(response_.outdated() + 1);
    if (!update.has_demand) return absl::OkStatus();
  } else {
    counters.reports_accepted.fetch_add(1);
    response_.set_accepted(response_.accepted() + 1);
    holders_.clear();
    for (const v1::HolderReport& holder : request_.holders()) {
      if (!holder.contended()) continue;
      update.awaited.push_back(holder.vcpu_id());
      if (holder.revision() != 0) holders_.push_back({holder.vcpu_id(), holder.revision()});
    }
    server_->AskForBoosts(holders_);  // first: it is urgent
  }
  server_->publisher()->ApplyDemand(server_->record()->vm_id(), std::move(update));
  return absl::OkStatus();
}

void ReportCall::Finish(const absl::Status& status) {
  step_ = Step::kFinishing;
  if (status.ok()) {
    reader_.Finish(response_, grpc::Status::OK, tag());
  } else {
    reader_.FinishWithError(ToGrpc(status), tag());
  }
}

}  // namespace lockhost::server
