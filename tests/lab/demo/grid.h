// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_DEMO_GRID_H_
#define LOCKHOST_TESTS_LAB_DEMO_GRID_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "tests/lab/demo/progress.h"
#include "tests/lab/demo/results.h"
#include "tests/lab/harness/session.h"

namespace lockhost::lab {

struct Plan {
  std::vector<uint32_t> ratios = {1, 2, 4};
  std::vector<Section> sections = {{.critical_ns = 400, .gap_ns = 200},
                                   {.critical_ns = 20'000, .gap_ns = 10'000}};
  int runs = 5;
  std::chrono::milliseconds run_time{800};
  uint32_t perturbation_ratio = 2;
  int perturbation_pairs = 8;
  std::chrono::milliseconds perturbation_time{2000};

  int GridSteps() const;
  int PerturbationSteps() const { return 4 * perturbation_pairs; }
};

// OK to go on; CANCELLED when somebody wants the demo to end.
using MayGoOn = std::function<absl::Status()>;

// All subjects in all sections at one ratio, interleaved run by run, so that what the
// machine does besides hits all alike. Adds the cells to `results`.
absl::Status RunRatio(Session& session, const Plan& plan, uint32_t ratio, const MayGoOn& may_go_on,
                      Progress& progress, Results& results);

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_DEMO_GRID_H_
