// SPDX-License-Identifier: Apache-2.0
//
// The two sentences at the end. Nothing in them is fixed but the words: each claim is
// made, or its opposite, from the numbers of this very run.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/lab/demo/text.h"
#include "tests/lab/harness/subject_names.h"

namespace lockhost::lab {
namespace {

// The cell at which the paths are compared: most overcommitted, shortest section.
struct Comparison {
  const Cell* naive;     // test-and-set
  const Cell* best;      // of the peers that know nothing of lockhost
  const Cell* no_hints;  // lockhost
  const Cell* hints;     // lockhost, best path

  bool complete() const {
    return naive != nullptr && best != nullptr && no_hints != nullptr && hints != nullptr;
  }
};

double Rate(const Cell& cell) { return cell.summary.throughput().mean; }
double Tail(const Cell& cell) {
  return static_cast<double>(cell.summary.acquire_ns().Quantile(0.99999));
}
// What hints are for: spinning and parking at the wrong moment.
double Misjudged(const Cell& cell) {
  return cell.summary.wasted_spin_share() + cell.summary.false_park_share();
}

Comparison Compare(const Results& results) {
  if (results.cells.empty()) return {};
  const Cell& last = *results.cells.back();
  uint64_t shortest = last.section.critical_ns;
  for (const auto& cell : results.cells) {
    shortest = std::min(shortest, cell->section.critical_ns);
  }
  const auto find = [&](Subject subject) { return results.Find(subject, last.ratio, shortest); };
  Comparison found = {.naive = find(Subject::kTestAndSet),
                      .best = find(Subject::kSpinThenFutex),
                      .no_hints = find(Subject::kLockhostNoHints),
                      .hints = find(Subject::kLockhostDirect)};
  return found;
}

std::string Times(double ratio) { return absl::StrFormat("%.1f", ratio); }

std::string FirstSentence(const Comparison& c, bool oracle) {
  const double gain = Share(Rate(*c.hints), Rate(*c.naive));
  const double peer = Share(Rate(*c.hints), Rate(*c.best));
  std::string text = absl::StrCat(
      "With ", c.naive->ratio, " vCPUs for each CPU, lockhost with hints gets the lock ",
      Times(gain), " times as often as test-and-set and waits ",
      Times(Share(Tail(*c.naive), Tail(*c.hints))), " times less at p99.999; against a plain "
      "spin-then-futex lock that is ",
      absl::StrFormat("%+.0f%%", (peer - 1) * 100), " in throughput");
  if (oracle) {
    absl::StrAppend(&text, ", and what its hints change is that waiters spin on a preempted holder "
                    "or park beside a running one ",
                    Misjudged(*c.hints) < Misjudged(*c.no_hints) ? "less often" : "no less often",
                    " (", ShortShare(c.no_hints->summary.wasted_spin_share()), " and ",
                    ShortShare(c.no_hints->summary.false_park_share()), " without, ",
                    ShortShare(c.hints->summary.wasted_spin_share()), " and ",
                    ShortShare(c.hints->summary.false_park_share()), " with them)");
  }
  return text + ".";
}

std::string SecondSentence(const Comparison& c) {
  return absl::StrCat(
      "Hints do not bring a preempted holder back: one acquisition in 100,000 still takes ",
      ShortTime(Tail(*c.hints)), "s, because until the host boosts such a holder (not in this "
      "version) the tail stays with the host's scheduler.");
}

}  // namespace

std::string Verdict(const Results& results) {
  const Comparison comparison = Compare(results);
  if (!comparison.complete()) return "Too little was run to say anything.\n";
  return "\n" + Wrapped(FirstSentence(comparison, results.setting.oracle) + " " +
                        SecondSentence(comparison));
}

}  // namespace lockhost::lab
