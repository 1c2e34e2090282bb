// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_DOCTOR_REPORT_H_
#define LOCKHOST_CLIENT_CLI_DOCTOR_REPORT_H_

#include <string>
#include <vector>

#include "agent/doctor/check.h"

// What `lockhost doctor` prints. Pure.
namespace lockhost::doctor {

struct Section {
  std::string title;  // "host" or "guest"
  Checks checks;
};

// No check is a problem.
bool HintsFlow(const std::vector<Section>& sections);

// A line a check, its advice below it, at most 80 columns; the answer at the end.
std::string RenderText(const std::vector<Section>& sections, bool colour);

// {"hints_flow": bool, "sections": [{"title", "checks": [{"verdict", "name", "finding",
// "advice"}]}]}, one line.
std::string RenderJson(const std::vector<Section>& sections);

}  // namespace lockhost::doctor

#endif  // LOCKHOST_CLIENT_CLI_DOCTOR_REPORT_H_
