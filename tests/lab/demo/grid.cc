// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/demo/grid.h"

#include "absl/strings/str_cat.h"
#include "tests/lab/harness/subject_names.h"

namespace lockhost::lab {
namespace {

absl::Status RunCell(Session& session, const Plan& plan, Cell& cell) {
  const absl::StatusOr<RunResult> run = session.Run({.subject = cell.subject,
                                                     .critical_ns = cell.section.critical_ns,
                                                     .gap_ns = cell.section.gap_ns,
                                                     .duration = plan.run_time});
  // A daemon that died is the better explanation of whatever went wrong.
  if (absl::Status alive = session.CheckDaemons(); !alive.ok()) return alive;
  if (!run.ok()) {
    return absl::Status(run.status().code(),
                        absl::StrCat(std::string(NameOf(cell.subject)), " with ", cell.vcpus,
                                     " vCPUs: ", run.status().message()));
  }
  cell.summary.Add(*run);
  return absl::OkStatus();
}

}  // namespace

int Plan::GridSteps() const {
  return static_cast<int>(ratios.size() * sections.size() * kDemoSubjects) * runs;
}

absl::Status RunRatio(Session& session, const Plan& plan, uint32_t ratio, const MayGoOn& may_go_on,
                      Progress& progress, Results& results) {
  std::vector<Cell*> cells;
  for (const Section& section : plan.sections) {
    for (uint32_t i = 0; i < kDemoSubjects; ++i) {
      if (static_cast<Subject>(i) == Subject::kLockhostBoost &&
          !session.why_not_boosted().empty()) {
        continue;
      }
      results.cells.push_back(std::make_unique<Cell>(Cell{.subject = static_cast<Subject>(i),
                                                          .ratio = ratio,
                                                          .vcpus = session.machine().vcpus(),
                                                          .section = section,
                                                          .summary = {}}));
      cells.push_back(results.cells.back().get());
    }
  }
  for (int run = 0; run < plan.runs; ++run) {
    for (Cell* cell : cells) {
      if (absl::Status go = may_go_on(); !go.ok()) return go;
      progress.Step(absl::StrCat("run ", run + 1, " of ", plan.runs, ", ",
                                 std::string(NameOf(cell->subject))));
      if (absl::Status ran = RunCell(session, plan, *cell); !ran.ok()) return ran;
    }
  }
  return absl::OkStatus();
}

}  // namespace lockhost::lab
