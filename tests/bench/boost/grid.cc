// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boost/grid.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/bench/run_order.h"
#include "tests/lab/demo/setting.h"
#include "tests/lab/harness/subject_names.h"

namespace lockhost::bench {
namespace {

using lab::Subject;

double RateBetween(const Work& first, const Work& last) {
  return lab::Share(static_cast<double>(last.done - first.done),
                    static_cast<double>(last.at_ns - first.at_ns) / 1e9);
}

// Either the agent's log or its books tell; both are read, so that nothing is left over.
void AddPreemptions(VmUnderTest& vm, Row& row) {
  const VmUnderTest::Boosts boosts = vm.TakeBoosts();
  const lab::Histogram unboosted = vm.TakeHolderPreemptions();
  row.boosts += boosts.count;
  if (row.subject == Subject::kLockhostBoost) row.holder_back_ns.Merge(boosts.holder_back_ns);
  if (row.subject == Subject::kLockhostDirect) row.holder_back_ns.Merge(unboosted);
}

absl::Status RunOnce(VmUnderTest& vm, Company& company, const GridPlan& plan, Row& row) {
  Work first, last;
  const absl::StatusOr<lab::RunResult> run =
      vm.session().Run({.subject = row.subject,
                        .critical_ns = kCriticalNs,
                        .gap_ns = plan.gap_ns,
                        .duration = plan.run_time},
                       [&] {
                         first = company.Done();
                         std::this_thread::sleep_for(plan.run_time);
                         last = company.Done();
                       });
  // Whoever has died is the better explanation of whatever went wrong.
  if (absl::Status alive = vm.session().CheckDaemons(); !alive.ok()) return alive;
  if (absl::Status alive = company.Check(); !alive.ok()) return alive;
  if (!run.ok()) return run.status();
  row.ops_per_s.push_back(run->Throughput());
  row.fairness.push_back(run->Fairness());
  row.neighbour_rate.push_back(RateBetween(first, last));
  row.acquire_ns.Merge(run->acquire_ns);
  row.switches += run->usage.switches;
  row.seconds += run->seconds;
  AddPreemptions(vm, row);
  return absl::OkStatus();
}

absl::Status MeasureCell(VmUnderTest& vm, const Cell& cell, const GridPlan& plan,
                         std::vector<Row>& rows) {
  const auto& threads = vm.session().machine().vcpu_tids();
  absl::StatusOr<std::unique_ptr<Company>> company = Company::Keep(cell, threads);
  if (!company.ok()) return company.status();
  const size_t first = rows.size();
  for (const Subject subject : plan.subjects) {
    rows.push_back(
        {.cell = cell, .subject = subject, .vcpus = static_cast<uint32_t>(threads.size())});
  }
  for (int run = 0; run < plan.runs; ++run) {
    for (const size_t i : RunOrder(rows.size() - first, run)) {
      if (absl::Status ran = RunOnce(vm, **company, plan, rows[first + i]); !ran.ok()) return ran;
    }
  }
  return absl::OkStatus();
}

uint32_t VcpusAt(const Cell& cell) { return VcpusPerCpu(cell.overcommit) * lab::UsableCpus(); }

}  // namespace

absl::Status MeasureGrid(const GridPlan& plan, const Say& say, std::vector<Row>& rows) {
  std::unique_ptr<VmUnderTest> vm;
  for (const Cell& cell : plan.cells) {
    if (vm == nullptr || vm->session().machine().vcpus() != VcpusAt(cell)) {
      vm.reset();
      absl::StatusOr<std::unique_ptr<VmUnderTest>> next = VmUnderTest::Start(VcpusAt(cell));
      if (!next.ok()) return next.status();
      vm = *std::move(next);
    }
    say(absl::StrCat(NameOf(cell), ", ", plan.gap_ns, " ns between two sections"));
    if (absl::Status measured = MeasureCell(*vm, cell, plan, rows); !measured.ok()) {
      return absl::Status(measured.code(), absl::StrCat(NameOf(cell), ": ", measured.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<lab::Histogram> MeasureGrpcHolderBack(const Cell& cell,
                                                     std::chrono::milliseconds time) {
  absl::StatusOr<std::unique_ptr<VmUnderTest>> vm = VmUnderTest::Start(VcpusAt(cell));
  if (!vm.ok()) return vm.status();
  const auto company = Company::Keep(cell, (*vm)->session().machine().vcpu_tids());
  if (!company.ok()) return company.status();
  const auto run = (*vm)->session().Run({.subject = Subject::kLockhostGrpc,
                                         .critical_ns = kCriticalNs,
                                         .gap_ns = kGapNs,
                                         .duration = time,
                                         .grpc_boosts = true});
  if (!run.ok()) return run.status();
  return (*vm)->TakeBoosts().holder_back_ns;
}

}  // namespace lockhost::bench
