// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_HARNESS_SUBJECT_NAMES_H_
#define LOCKHOST_TESTS_LAB_HARNESS_SUBJECT_NAMES_H_

#include <array>
#include <optional>

#include "absl/strings/string_view.h"
#include "tests/lab/abi/lab_abi.h"

namespace lockhost::lab {

// In the order in which they are shown; index = Subject.
inline constexpr std::array<absl::string_view, kSubjects> kSubjectNames = {
    "test-and-set",  "ticket",          "spin-then-futex", "lockhost-nohints",
    "lockhost-grpc", "lockhost-direct", "lockhost-boost",  "mcs",
    "pv-ticket",     "pv-qspinlock"};

inline absl::string_view NameOf(Subject subject) {
  const auto index = static_cast<size_t>(subject);
  return index < kSubjectNames.size() ? kSubjectNames[index] : "busy";
}

inline std::optional<Subject> SubjectNamed(absl::string_view name) {
  for (size_t i = 0; i < kSubjectNames.size(); ++i) {
    if (kSubjectNames[i] == name) return static_cast<Subject>(i);
  }
  return std::nullopt;
}

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_SUBJECT_NAMES_H_
