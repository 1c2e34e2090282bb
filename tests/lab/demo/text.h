// SPDX-License-Identifier: Apache-2.0
//
// Results as text for an 80-column terminal.
#ifndef LOCKHOST_TESTS_LAB_DEMO_TEXT_H_
#define LOCKHOST_TESTS_LAB_DEMO_TEXT_H_

#include <string>

#include "tests/lab/demo/results.h"

namespace lockhost::lab {

inline constexpr size_t kTerminalColumns = 80;

// What runs where, and what is missing here; said before anything is measured. The first
// line says whether real vCPUs or threads are measured.
std::string Introduction(const Setting& setting);
// One block for each ratio and section.
std::string Table(const Results& results);
// Delivery, agreement, perturbation.
std::string HintFacts(const Results& results);
// Two plain sentences: what the numbers mean.
std::string Verdict(const Results& results);

// A time in at most five characters: "484n", "7.1u", "13m", "1.2s".
std::string ShortTime(double ns);
// A share in at most five characters: "0", "0.2%", "43%".
std::string ShortShare(double share);

// Breaks lines between words.
std::string Wrapped(const std::string& text, size_t columns = kTerminalColumns - 1);

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_DEMO_TEXT_H_
