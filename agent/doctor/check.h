// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DOCTOR_CHECK_H_
#define LOCKHOST_AGENT_DOCTOR_CHECK_H_

#include <string>
#include <utility>
#include <vector>

namespace lockhost::doctor {

// kProblem: because of this hints will not flow, or not fully, or it cannot be told whether
// they do. kWarning: they flow, but something is worse than it could be, or a detail could
// not be found out.
enum class Verdict { kOk, kWarning, kProblem };

// One line of a report.
struct Check {
  Verdict verdict = Verdict::kOk;
  std::string name;     // what was looked at; at most 15 characters
  std::string finding;  // what is the case, in plain words
  std::string advice;   // what to change; empty: nothing
};
using Checks = std::vector<Check>;

inline Check Ok(std::string name, std::string finding) {
  return {Verdict::kOk, std::move(name), std::move(finding), ""};
}
inline Check Warning(std::string name, std::string finding, std::string advice = "") {
  return {Verdict::kWarning, std::move(name), std::move(finding), std::move(advice)};
}
inline Check Problem(std::string name, std::string finding, std::string advice) {
  return {Verdict::kProblem, std::move(name), std::move(finding), std::move(advice)};
}

}  // namespace lockhost::doctor

#endif  // LOCKHOST_AGENT_DOCTOR_CHECK_H_
