// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/cell.h"

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
  }
  return "unknown";
}

std::string NameOf(const Cell& cell) {
  if (cell.workload == Workload::kUncontended) return "uncontended";
  return absl::StrCat(NameOf(cell.workload), " ", cell.threads, " cs ", cell.cs_ns, " gap ",
                      cell.gap_ns, " locks ", cell.locks);
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
