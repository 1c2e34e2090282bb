// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/lab.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/bench/run_order.h"
#include "tests/lab/harness/neighbours.h"
#include "tests/lab/harness/subject_names.h"

namespace lockhost::bench {
namespace {

using lab::RunResult;
using lab::Session;
using lab::Subject;

absl::StatusOr<std::unique_ptr<Session>> StartVm(int vcpus, lab::BackendChoice backend) {
  auto session = Session::Create(static_cast<uint32_t>(vcpus), backend);
  if (!session.ok()) return session;
  if (absl::Status up = (*session)->StartDaemons(); !up.ok()) return up;
  if (!(*session)->has_oracle()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no vCPU's state is known at its switch: the agent works with ",
                     (*session)->source().name, ": ", (*session)->source().reason));
  }
  return session;
}

void Add(const RunResult& run, Row& row) {
  row.ops_per_s.push_back(run.Throughput());
  row.fairness.push_back(run.Fairness());
  row.spin_cpu_share.push_back(run.usage.cpu_ns == 0 ? 0
                                                     : static_cast<double>(run.spin_ns) /
                                                           static_cast<double>(run.usage.cpu_ns));
  row.acquire_ns.Merge(run.acquire_ns);
  if (!row.waste.has_value()) row.waste.emplace();
  row.waste->cpu_ns += run.usage.cpu_ns;
  row.waste->wasted_spin_ns += run.wasted_spin_ns;
  row.waste->parks += run.parks;
  row.waste->false_parks += run.false_parks;
}

absl::Status RunOnce(Session& session, const LabPlan& plan, Subject subject, Row& row) {
  const absl::StatusOr<RunResult> run =
      session.Run({.subject = subject,
                   .critical_ns = static_cast<uint64_t>(row.cell.cs_ns),
                   .gap_ns = static_cast<uint64_t>(row.cell.gap_ns),
                   .duration = plan.run_time});
  // A daemon that died is the better explanation of whatever went wrong.
  if (absl::Status alive = session.CheckDaemons(); !alive.ok()) return alive;
  if (!run.ok()) {
    return absl::Status(run.status().code(), absl::StrCat(row.subject, ", ", NameOf(row.cell), ": ",
                                                          run.status().message()));
  }
  Add(*run, row);
  return absl::OkStatus();
}

absl::Status MeasureCell(Session& session, const LabPlan& plan, const Cell& cell,
                         std::vector<Row>* rows) {
  const auto hogs = lab::Neighbours::Start(static_cast<uint32_t>(cell.hogs));
  if (!hogs.ok()) return hogs.status();
  const auto pinning = lab::PinningNamed(std::string(1, cell.pinning));
  if (!pinning.has_value()) return absl::InvalidArgumentError("no such pinning");
  absl::Status pinned = lab::Pin(*pinning, session.machine().vcpu_tids(), (*hogs)->pids());
  if (!pinned.ok()) return pinned;
  std::vector<std::pair<Subject, Row>> measured;
  for (const Subject subject : plan.subjects) {
    if (subject == Subject::kLockhostBoost && !session.why_not_boosted().empty()) continue;
    measured.push_back(
        {subject,
         {.cell = cell, .subject = std::string(lab::NameOf(subject)), .ours = IsOurs(subject)}});
  }
  for (int run = 0; run < plan.runs; ++run) {
    for (const size_t i : RunOrder(measured.size(), run)) {
      auto& [subject, row] = measured[i];
      if (absl::Status ran = RunOnce(session, plan, subject, row); !ran.ok()) return ran;
    }
  }
  for (auto& [subject, row] : measured) rows->push_back(std::move(row));
  return absl::OkStatus();
}

}  // namespace

bool IsOurs(Subject subject) {
  return subject >= Subject::kLockhostNoHints && subject <= Subject::kLockhostBoost;
}

std::vector<Subject> LabSubjects() {
  std::vector<Subject> peers, ours;
  for (uint32_t i = 0; i < lab::kSubjects; ++i) {
    const auto subject = static_cast<Subject>(i);
    (IsOurs(subject) ? ours : peers).push_back(subject);
  }
  peers.insert(peers.end(), ours.begin(), ours.end());
  return peers;
}

absl::Status MeasureLab(const LabPlan& plan, const std::function<void(const Cell&)>& say,
                        LabFacts* facts, std::vector<Row>* rows) {
  std::unique_ptr<Session> session;
  for (const Cell& cell : plan.cells) {
    if (session == nullptr || static_cast<int>(session->machine().vcpus()) != cell.threads) {
      session.reset();  // its daemons end before others begin
      absl::StatusOr<std::unique_ptr<Session>> next = StartVm(cell.threads, plan.backend);
      if (!next.ok()) return absl::FailedPreconditionError(next.status().message());
      session = *std::move(next);
      *facts = {.is_kvm = session->machine().is_kvm(),
                .why_not_kvm = session->why_not_kvm(),
                .why_not_boosted = session->why_not_boosted()};
    }
    say(cell);
    if (absl::Status measured = MeasureCell(*session, plan, cell, rows); !measured.ok()) {
      return measured;
    }
  }
  return absl::OkStatus();
}

}  // namespace lockhost::bench
