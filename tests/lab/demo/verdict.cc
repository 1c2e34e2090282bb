// SPDX-License-Identifier: Apache-2.0
//
// The two sentences at the end. Nothing in them is fixed but the words: each claim is
// made, or its opposite, from the numbers of this very run.
#include <algorithm>

#include "absl/strings/str_format.h"
#include "tests/lab/demo/text.h"

namespace lockhost::lab {
namespace {

// The cells that are compared: the most overcommitted VM, the shortest section.
struct Comparison {
  const Cell* naive;     // test-and-set
  const Cell* peer;      // spin-then-futex: the best that knows nothing of lockhost
  const Cell* no_hints;  // lockhost
  const Cell* grpc;
  const Cell* direct;
  const Cell* boost;  // null: nothing was boosted

  bool complete() const {
    return naive != nullptr && peer != nullptr && no_hints != nullptr && grpc != nullptr &&
           direct != nullptr;
  }
};

double Rate(const Cell& cell) { return cell.summary.throughput().mean; }
double Tail(const Cell& cell) {
  return static_cast<double>(cell.summary.acquire_ns().Quantile(0.99999));
}
std::string Spun(const Cell& cell) { return ShortShare(cell.summary.wasted_spin_share()); }
std::string FalseParks(const Cell& cell) { return ShortShare(cell.summary.false_park_share()); }

Comparison Compare(const Results& results) {
  if (results.cells.empty()) return {};
  const uint32_t ratio = results.cells.back()->ratio;
  uint64_t shortest = UINT64_MAX;
  for (const auto& cell : results.cells) {
    shortest = std::min(shortest, cell->section.critical_ns);
  }
  const auto find = [&](Subject subject) { return results.Find(subject, ratio, shortest); };
  return {.naive = find(Subject::kTestAndSet),
          .peer = find(Subject::kSpinThenFutex),
          .no_hints = find(Subject::kLockhostNoHints),
          .grpc = find(Subject::kLockhostGrpc),
          .direct = find(Subject::kLockhostDirect),
          .boost = find(Subject::kLockhostBoost)};
}

std::string FirstSentence(const Comparison& c, bool oracle) {
  const double shorter = Share(Tail(*c.naive), Tail(*c.direct));
  std::string text = absl::StrFormat(
      "With %u vCPUs for each CPU, lockhost with hints takes the lock %.1f times as often as "
      "test-and-set, and at p99.999 it waits %.1f times %s",
      c.naive->ratio, Share(Rate(*c.direct), Rate(*c.naive)),
      shorter >= 1 ? shorter : Share(1, shorter), shorter >= 1 ? "less" : "longer");
  if (oracle) {
    absl::StrAppendFormat(
        &text,
        "; hints change the CPU time spent spinning on a preempted holder from %s to %s (gRPC) "
        "and %s (direct), and needless parks from %s to %s and %s",
        Spun(*c.no_hints), Spun(*c.grpc), Spun(*c.direct), FalseParks(*c.no_hints),
        FalseParks(*c.grpc), FalseParks(*c.direct));
  }
  return text + ".";
}

std::string WithBoost(const Comparison& c) {
  const auto tail = [](const Cell& cell) { return cell.summary.acquire_ns(); };
  return absl::StrFormat(
      "They do not bring a preempted holder back, which is the host's to do: with a boost of the "
      "holder one acquisition in 10,000 takes %ss or more instead of %ss, one in 100,000 %ss "
      "instead of %ss, and throughput is %+.0f%% against a plain spin-then-futex lock.",
      ShortTime(static_cast<double>(tail(*c.boost).Quantile(0.9999))),
      ShortTime(static_cast<double>(tail(*c.direct).Quantile(0.9999))), ShortTime(Tail(*c.boost)),
      ShortTime(Tail(*c.direct)), (Share(Rate(*c.boost), Rate(*c.peer)) - 1) * 100);
}

std::string SecondSentence(const Comparison& c) {
  if (c.boost != nullptr) return WithBoost(c);
  const double gain = Share(Rate(*c.direct), Rate(*c.peer)) - 1;
  return absl::StrFormat(
      "They do not bring a preempted holder back: throughput is %+.0f%% against a plain "
      "spin-then-futex lock, and one acquisition in 100,000 still takes %ss, because without a "
      "boost of the holder (not possible here) the tail stays with the host's scheduler.",
      gain * 100, ShortTime(Tail(*c.direct)));
}

}  // namespace

std::string Verdict(const Results& results) {
  const Comparison comparison = Compare(results);
  if (!comparison.complete()) return "Too little was run to say anything.\n";
  return "\n" + Wrapped(FirstSentence(comparison, results.setting.oracle) + " " +
                        SecondSentence(comparison));
}

}  // namespace lockhost::lab
