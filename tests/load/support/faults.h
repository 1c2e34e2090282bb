// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LOAD_SUPPORT_FAULTS_H_
#define LOCKHOST_TESTS_LOAD_SUPPORT_FAULTS_H_

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/load/support/history.h"
#include "tests/load/support/real_host.h"
#include "tests/load/support/recorder.h"

namespace lockhost::load {

// Faults of a host's processes, one after another at random, and what came of each. Used by one
// thread, the host's.
class Faults {
 public:
  // Both outlive the faults.
  Faults(RealHost* host, Recorder* recorder, uint32_t seed)
      : host_(*host), recorder_(*recorder), random_(seed) {}

  // One fault, through to the time at which all is well again. Fails when that does not come, when
  // a process ends that nobody has ended, or when one has grown.
  absl::Status Next();

  struct Facts {
    std::map<std::string, int> faults;  // by name
    // Of a daemon on the host: from its start to the last guest's snapshot, or its next delta.
    std::map<Part, std::vector<double>> resume_ms;
    std::vector<uint64_t> server_ends_ns;  // as in History
    std::vector<Span> silences;            // as in History
  };
  const Facts& facts() const { return facts_; }

 private:
  enum class Kind { kKill, kTerminate, kStop };
  absl::Status Restart(Part part, Kind kind);
  absl::Status StopForAWhile(Part part);
  absl::Status AwaitWell(Part part, uint64_t since_ns);
  absl::Status CheckGrowth(Part part);

  RealHost& host_;
  Recorder& recorder_;
  std::minstd_rand random_;
  std::map<Part, Holdings> at_first_;  // of the present process, when it had become busy
  Facts facts_;
};

}  // namespace lockhost::load

#endif  // LOCKHOST_TESTS_LOAD_SUPPORT_FAULTS_H_
