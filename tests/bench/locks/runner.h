// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_RUNNER_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_RUNNER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "tests/bench/locks/subject.h"

namespace lockhost::bench {

// Runs the cell with the lock in a process of its own: a process attaches to a page but once,
// and none inherits what another's threads have left in caches of libraries.
// Errors: INTERNAL, with what became of the process; DEADLINE_EXCEEDED, it hung (and was killed).
absl::StatusOr<std::unique_ptr<Sample>> RunOnce(const Subject& subject, const Cell& cell,
                                                const RunPlan& plan);

// The same, over again until the machine was at its full pace before and after; after
// `tries` of these, or after some seconds of waiting for it, the run counts nevertheless and
// `*disturbed` is increased. No `tries`: as RunOnce().
absl::StatusOr<std::unique_ptr<Sample>> RunAtFullPace(const Subject& subject, const Cell& cell,
                                                      const RunPlan& plan, int tries,
                                                      int* disturbed);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_RUNNER_H_
