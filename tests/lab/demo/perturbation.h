// SPDX-License-Identifier: Apache-2.0
//
// What lockhost costs the VM in context switches: the same lock with the daemons up and
// with them stopped, pair by pair, while the VM itself goes on.
#ifndef LOCKHOST_TESTS_LAB_DEMO_PERTURBATION_H_
#define LOCKHOST_TESTS_LAB_DEMO_PERTURBATION_H_

#include "absl/status/statusor.h"
#include "tests/lab/demo/grid.h"

namespace lockhost::lab {

// REQUIRES: all vCPUs are parked. The daemons are down afterwards.
absl::StatusOr<Perturbation> MeasurePerturbation(Session& session, const Plan& plan,
                                                 const MayGoOn& may_go_on, Progress& progress);

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_DEMO_PERTURBATION_H_
