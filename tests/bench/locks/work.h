// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_WORK_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_WORK_H_

#include <cstdint>

#include "tests/bench/locks/sample.h"

namespace lockhost::bench {

// Computes; takes time only while the thread has a CPU, and touches no memory. One piece of code
// for all: how fast so short a loop runs depends on where it lies.
void Work(uint64_t loops);

// How fast this machine is at its best; takes about 40 ms.
RunPlan Calibrate(uint64_t length_ns);

// Does every CPU work as fast now as `plan` says, to a tenth? A virtual machine may be slowed
// down from outside for seconds at a time, and a run that falls into such a phase tells
// nothing. Takes half a millisecond for each CPU.
bool IsAtFullPace(const RunPlan& plan);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_WORK_H_
