// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/service/one_vm.h"

#include <memory>
#include <utility>

#include "tests/lab/demo/grid.h"
#include "tests/lab/demo/perturbation.h"
#include "tests/lab/demo/progress.h"
#include "tests/lab/demo/setting.h"
#include "tests/lab/harness/session.h"

namespace lockhost::bench {
namespace {

constexpr std::chrono::seconds kRunTime{1};

// A VM with the daemons up. Only BPF's table says when exactly a vCPU was stopped.
absl::StatusOr<std::unique_ptr<lab::Session>> StartSession(uint32_t overcommit) {
  absl::StatusOr<std::unique_ptr<lab::Session>> session =
      lab::Session::Create(overcommit * lab::UsableCpus(), lab::BackendChoice::kAuto);
  if (!session.ok()) return session;
  if (absl::Status up = (*session)->StartDaemons(); !up.ok()) return up;
  if (!(*session)->has_oracle()) return absl::FailedPreconditionError((*session)->source().reason);
  return session;
}

}  // namespace

absl::StatusOr<Delivery> MeasureDelivery(uint32_t overcommit, int runs) {
  absl::StatusOr<std::unique_ptr<lab::Session>> session = StartSession(overcommit);
  if (!session.ok()) return session.status();
  Delivery found = {.overcommit = overcommit};
  const std::vector<lab::Section> sections = lab::Plan().sections;
  for (int run = 0; run < runs; ++run) {
    const lab::Section& section = sections[static_cast<size_t>(run) % sections.size()];
    const absl::StatusOr<lab::RunResult> result =
        (*session)->Run({.subject = lab::Subject::kLockhostGrpc,
                         .critical_ns = section.critical_ns,
                         .gap_ns = section.gap_ns,
                         .duration = kRunTime});
    if (absl::Status alive = (*session)->CheckDaemons(); !alive.ok()) return alive;
    if (!result.ok()) return result.status();
    found.delivery_ns.Merge(result->delivery_ns);
  }
  return found;
}

absl::StatusOr<lab::Perturbation> MeasureCost(int pairs) {
  lab::Plan plan;
  plan.perturbation_pairs = pairs;
  absl::StatusOr<std::unique_ptr<lab::Session>> session = StartSession(plan.perturbation_ratio);
  if (!session.ok()) return session.status();
  lab::Progress progress(plan.PerturbationSteps());
  progress.Phase("what the daemons cost");
  return lab::MeasurePerturbation(
      **session, plan, [] { return absl::OkStatus(); }, progress);
}

}  // namespace lockhost::bench
