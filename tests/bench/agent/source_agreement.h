// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_AGENT_SOURCE_AGREEMENT_H_
#define LOCKHOST_TESTS_BENCH_AGENT_SOURCE_AGREEMENT_H_

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lockhost::bench {

// How well a source that polls knows what BPF knows, of the same vCPUs at the same time.
struct AgreementFigures {
  std::string source;
  double agreement = 0;          // share of looks that found the same state in both tables
  double false_running = 0;      // of all looks: said RUNNING, and it was not
  double false_preempted = 0;    // of all looks: said PREEMPTED, and it was not
  std::vector<double> delay_us;  // from a change in BPF's table to the same in the other
  double cpu_percent = 0;        // its agent, of one CPU
};

// Four vCPUs that spin wherever the scheduler puts them, under demand, which is what makes
// such a source look often. The looks are 200 us apart; HALTED counts as EXITED, for these
// sources cannot know. UNAVAILABLE: no KVM; FAILED_PRECONDITION: BPF or that source is not
// to be had here.
absl::StatusOr<AgreementFigures> MeasureAgreement(const std::string& source,
                                                  std::chrono::seconds length);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_AGENT_SOURCE_AGREEMENT_H_
