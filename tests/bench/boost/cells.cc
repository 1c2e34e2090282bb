// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boost/cells.h"

#include "absl/strings/str_cat.h"

namespace lockhost::bench {

using lab::Pinning;

std::string NameOf(Neighbour neighbour) {
  switch (neighbour) {
    case Neighbour::kNone:
      return "none";
    case Neighbour::kHogs:
      return "hogs";
    case Neighbour::kVm:
      return "vm";
  }
  return "unknown";
}

std::string NameOf(Pinning pinning) {
  switch (pinning) {
    case Pinning::kEach:
      return "A";
    case Pinning::kNone:
      return "B";
    case Pinning::kOneCpu:
      return "C";
  }
  return "unknown";
}

std::string NameOf(const Cell& cell) {
  return absl::StrCat(cell.overcommit, "x ", NameOf(cell.pinning), " ", NameOf(cell.neighbour));
}

uint32_t VcpusPerCpu(uint32_t overcommit) { return (overcommit + 1) / 2; }
uint32_t NeighboursPerCpu(uint32_t overcommit) { return overcommit - VcpusPerCpu(overcommit); }

std::vector<Cell> AllCells() {
  std::vector<Cell> cells;
  for (const uint32_t overcommit : {1u, 2u, 3u, 4u}) {
    for (const Pinning pinning : {Pinning::kEach, Pinning::kNone, Pinning::kOneCpu}) {
      if (NeighboursPerCpu(overcommit) == 0) {
        cells.push_back({overcommit, pinning, Neighbour::kNone});
        continue;
      }
      cells.push_back({overcommit, pinning, Neighbour::kHogs});
      cells.push_back({overcommit, pinning, Neighbour::kVm});
    }
  }
  return cells;
}

std::vector<Cell> QuickCells() {
  return {{1, Pinning::kNone, Neighbour::kNone},
          {2, Pinning::kEach, Neighbour::kVm},
          {4, Pinning::kNone, Neighbour::kHogs}};
}

}  // namespace lockhost::bench
