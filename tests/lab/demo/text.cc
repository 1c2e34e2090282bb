// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/demo/text.h"

#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tests/lab/harness/subject_names.h"

namespace lockhost::lab {
namespace {

int DigitsAfterPoint(double value) { return value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2; }

std::string ThreeDigits(double value) {
  return absl::StrFormat("%.*f", DigitsAfterPoint(value), value);
}

// Mean and deviation with the digits that the mean deserves.
std::string Rate(const MeanAndDeviation& per_second) {
  const double mean = per_second.mean / 1e3;
  const int digits = DigitsAfterPoint(mean);
  return absl::StrFormat("%.*f+-%.*f", digits, mean, digits, per_second.stddev / 1e3);
}

constexpr size_t kNameAndRateColumns = 26;

// What only an oracle can tell is left out without one.
std::string Row(const Cell& cell, bool oracle) {
  const Summary& all = cell.summary;
  const std::string name(NameOf(cell.subject));
  std::string row =
      name + absl::StrFormat("%*s", static_cast<int>(kNameAndRateColumns - name.size()),
                             Rate(all.throughput()));
  const struct {
    double quantile;
    int width;
  } columns[] = {{0.5, 5}, {0.99, 5}, {0.999, 5}, {0.9999, 6}, {0.99999, 7}, {1.0, 5}};
  for (const auto& [quantile, width] : columns) {
    absl::StrAppendFormat(&row, "%*s", width,
                          ShortTime(static_cast<double>(all.acquire_ns().Quantile(quantile))));
  }
  const std::optional<uint64_t> lhp = all.lock_holder_preemptions();
  absl::StrAppendFormat(&row, "%5.2f%6s%5s%5s\n", all.fairness(),
                        oracle && lhp.has_value() ? absl::StrCat(*lhp) : "-",
                        oracle ? ShortShare(all.wasted_spin_share()) : "-",
                        oracle ? ShortShare(all.false_park_share()) : "-");
  return row;
}

constexpr char kColumns[] =
    "                 kops/s +-  p50  p99 99.9 99.99 99.999  max fair   lhp spun park\n";

std::string PathLine(const Results& results, Subject subject, const char* name) {
  const Finding<Quantiles> delivery = results.Delivery(subject);
  const Finding<double> agreement = results.Agreement(subject);
  std::string line = absl::StrFormat("  %-8s", name);
  if (delivery.value.has_value()) {
    absl::StrAppendFormat(&line, "delivery p50 %s us, p99 %s us", ThreeDigits(delivery.value->p50),
                          ThreeDigits(delivery.value->p99));
  } else {
    absl::StrAppend(&line, "delivery: ", delivery.absent_because);
  }
  if (agreement.value.has_value()) {
    absl::StrAppendFormat(&line, "; agrees %.2f%% of the time", *agreement.value * 100);
  }
  return line + "\n";
}

}  // namespace

std::string ShortTime(double ns) {
  struct Unit {
    double ns;
    const char* name;
  };
  constexpr std::array<Unit, 4> kUnits = {{{1, "n"}, {1e3, "u"}, {1e6, "m"}, {1e9, "s"}}};
  size_t unit = 0;
  while (unit + 1 < kUnits.size() && ns >= 999.5 * kUnits[unit].ns) ++unit;
  const double value = ns / kUnits[unit].ns;
  const int digits = unit > 0 && value < 9.95 ? 1 : 0;
  return absl::StrFormat("%.*f%s", digits, value, kUnits[unit].name);
}

std::string ShortShare(double share) {
  const double percent = share * 100;
  if (percent == 0) return "0";
  return absl::StrFormat("%.*f%%", percent < 9.95 ? 1 : 0, percent);
}

std::string Wrapped(const std::string& text, size_t columns) {
  std::string out;
  size_t column = 0;
  const std::vector<std::string> words = absl::StrSplit(text, ' ', absl::SkipEmpty());
  for (const std::string& word : words) {
    if (column != 0 && column + 1 + word.size() > columns) {
      out += "\n";
      column = 0;
    }
    if (column != 0) {
      out += " ";
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out + "\n";
}

std::string Introduction(const Setting& setting) {
  std::string text = setting.kvm
                         ? Wrapped(absl::StrCat("Real KVM vCPUs on ", setting.cpus, " CPUs (",
                                                setting.machine, ", Linux ", setting.kernel, ")."))
                         : Wrapped(absl::StrCat("Threads stand in for vCPUs: ", setting.why_not_kvm,
                                                ". What follows is not KVM."));
  text += setting.oracle
              ? Wrapped("The agent's source is BPF: run states come from the scheduler itself.")
              : Wrapped(absl::StrCat(
                    setting.root ? "The" : "Without root the", " agent's source is ",
                    setting.source, ", not BPF (", setting.source_reason,
                    "): it samples, and there is no scheduler's truth to judge hints by."));
  if (!setting.why_not_boosted.empty()) {
    text += Wrapped("No lock holder is boosted: " + setting.why_not_boosted + ".");
  }
  text += Wrapped(
      "There is no guest OS in the lab's VM, so lockhost-guestd runs beside it; its pages are "
      "memory of the VM.");
  return text;
}

std::string Table(const Results& results) {
  std::string text;
  const Cell* last = nullptr;
  for (const std::unique_ptr<Cell>& cell : results.cells) {
    if (last == nullptr || last->ratio != cell->ratio ||
        last->section.critical_ns != cell->section.critical_ns) {
      absl::StrAppendFormat(
          &text, "\n%u vCPUs on %u CPUs (ratio %u), critical section %s, gap %s, %d %s\n%s",
          cell->vcpus, results.setting.cpus, cell->ratio,
          ShortTime(static_cast<double>(cell->section.critical_ns)) + "s",
          ShortTime(static_cast<double>(cell->section.gap_ns)) + "s", cell->summary.runs(),
          cell->summary.runs() == 1 ? "run" : "runs", kColumns);
    }
    text += Row(*cell, results.setting.oracle);
    last = cell.get();
  }
  text +=
      "\nkops/s: thousand acquisitions a second, mean and deviation over the runs\n"
      "p50, p99, 99.9 .. max: time to acquire; fair: slowest vCPU / fastest vCPU\n"
      "lhp: lock-holder preemptions; spun: CPU time spent spinning on a holder that did\n"
      "not run; park: share of the parks during which the holder ran\n";
  return text;
}

std::string HintFacts(const Results& results) {
  std::string text = "\nHints, against the scheduler's own account:\n";
  text += PathLine(results, Subject::kLockhostGrpc, "gRPC");
  text += PathLine(results, Subject::kLockhostDirect, "direct");
  const Perturbation& cost = results.perturbation;
  text += "What the daemons cost the VM in context switches:\n";
  if (cost.idle_ratio.value.has_value()) {
    absl::StrAppendFormat(&text, "  no demand: %.0f/s with, %.0f/s without: ratio %.3f\n",
                          cost.idle_on_per_s, cost.idle_off_per_s, *cost.idle_ratio.value);
  } else {
    absl::StrAppend(&text, "  no demand: ", cost.idle_ratio.absent_because, "\n");
  }
  if (cost.extra_switches_per_event.value.has_value()) {
    absl::StrAppendFormat(&text, "  demand: %.2f extra for each delivered event (%.0f events/s)\n",
                          *cost.extra_switches_per_event.value, cost.events_per_s);
  } else {
    absl::StrAppend(&text, "  demand: ", cost.extra_switches_per_event.absent_because, "\n");
  }
  return text;
}

}  // namespace lockhost::lab
