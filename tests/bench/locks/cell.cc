// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/cell.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace lockhost::bench {

absl::string_view NameOf(Workload workload) {
  switch (workload) {
    case Workload::kThreads:
      return "threads";
    case Workload::kBarrier:
      return "barrier";
    case Workload::kUncontended:
      return "uncontended";
    case Workload::kLab:
      return "lab";
  }
  return "unknown";
}

std::string NameOf(const Cell& cell) {
  if (cell.workload == Workload::kUncontended) return "uncontended";
  if (cell.workload == Workload::kLab) {
    return absl::StrCat("lab ", cell.threads, " vCPUs ", cell.hogs, " hogs ",
                        std::string(1, cell.pinning), " cs ", cell.cs_ns, " gap ", cell.gap_ns);
  }
  return absl::StrCat(NameOf(cell.workload), " ", cell.threads, " cs ", cell.cs_ns, " gap ",
                      cell.gap_ns, " locks ", cell.locks);
}

double Overcommit(const Cell& cell, long cpus) {
  return std::max(1.0, static_cast<double>(cell.threads + cell.hogs) / static_cast<double>(cpus));
}

std::vector<Cell> LabCells(int cpus, bool quick) {
  std::vector<Cell> cells;
  const auto add = [&](int vcpus, int hogs, char pinning) {
    for (const int cs_ns : {400, 20'000}) {
      cells.push_back({Workload::kLab, vcpus, cs_ns, cs_ns / 2, 1, hogs, pinning});
    }
  };
  if (quick) return {{Workload::kLab, cpus, 400, 200, 1, cpus, 'B'}};
  for (const char pinning : {'B', 'A', 'C'}) {
    for (const int overcommit : {1, 2, 3, 4}) add(cpus, (overcommit - 1) * cpus, pinning);
  }
  for (const int ratio : {2, 4}) add(ratio * cpus, 0, 'B');
  return cells;
}

std::vector<Cell> AllCells(bool quick) {
  if (quick) {
    return {{Workload::kUncontended},
            {Workload::kThreads, 2, 100, 0, 1},
            {Workload::kThreads, 4, 1'000, 1'000, 100},
            {Workload::kBarrier, 4, 100, 1'000, 1}};
  }
  std::vector<Cell> cells = {{Workload::kUncontended}};
  for (const int locks : {1, 100}) {
    for (const int cs_ns : {100, 1'000, 10'000}) {
      for (const int gaps : {0, 1, 10}) {
        for (const int threads : {1, 2, 4, 8, 16, 32}) {
          cells.push_back({Workload::kThreads, threads, cs_ns, gaps * cs_ns, locks});
        }
      }
    }
  }
  for (const int threads : {2, 4, 8, 16, 32}) {
    cells.push_back({Workload::kBarrier, threads, 100, 1'000, 1});
  }
  return cells;
}

}  // namespace lockhost::bench
