// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_DEMO_DEMO_JSON_H_
#define LOCKHOST_TESTS_LAB_DEMO_DEMO_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "tests/lab/demo/results.h"

namespace lockhost::lab {

// The same as the table, and more, for programs. What could not be found out is null,
// and `absent` says why.
std::string ToJson(const Results& results);

// Writes the whole file or leaves the old one.
absl::Status WriteFile(const std::string& path, const std::string& text);

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_DEMO_DEMO_JSON_H_
