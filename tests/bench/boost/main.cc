// SPDX-License-Identifier: Apache-2.0

// lockhost-bench-boost: what it changes that the host runs preempted lock holders at once, for
// their VM and for its neighbours, on real KVM vCPUs. `make bench-boost`.
#include <sys/prctl.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "common/program_flags.h"
#include "tests/bench/boost/grid.h"
#include "tests/bench/boost/report.h"
#include "tests/bench/boost/shares.h"
#include "tests/lab/demo/progress.h"
#include "tests/lab/demo/setting.h"
#include "tests/lab/demo/text.h"

ABSL_FLAG(std::string, json, "", "also write the figures there");
ABSL_FLAG(bool, quick, false,
          "some seconds instead of a quarter of an hour; the numbers mean nothing");
ABSL_FLAG(int, runs, 5, "runs of each lock in each cell");
ABSL_FLAG(int, ms, 650, "length of such a run");
ABSL_FLAG(int, pairs, 5, "pairs of long runs, with boosts and without");
ABSL_FLAG(int, lies, 3, "pairs of long runs, with lies and without");
ABSL_FLAG(int, long_ms, 10'000, "length of a long run");
ABSL_FLAG(std::vector<std::string>, parts, {}, "these alone: grid, 2010, shares, lies, grpc");
ABSL_FLAG(std::vector<std::string>, cells, {},
          "cells whose names begin so, alone (as '4x B hogs')");
ABSL_FLAG(int, neighbour_vm, 0, "be a second VM with so many vCPUs (for the program's own use)");
ABSL_FLAG(int, neighbour_fd, -1, "the memory that it shares");

namespace lockhost::bench {
namespace {

using lab::Pinning;
using lab::Subject;
using std::chrono::milliseconds;

struct Plan {
  std::vector<Cell> cells = AllCells();
  int runs = absl::GetFlag(FLAGS_runs);
  milliseconds run_time{absl::GetFlag(FLAGS_ms)};
  int pairs = absl::GetFlag(FLAGS_pairs);
  int lies = absl::GetFlag(FLAGS_lies);
  milliseconds long_time{absl::GetFlag(FLAGS_long_ms)};
};

// No list means everything.
bool IsWanted(const std::vector<std::string>& list, const std::string& name) {
  return list.empty() || std::any_of(list.begin(), list.end(), [&](const std::string& wanted) {
           return name.rfind(wanted, 0) == 0;
         });
}

Plan PlanFromFlags() {
  Plan plan;
  if (absl::GetFlag(FLAGS_quick)) {
    plan = {.cells = QuickCells(),
            .runs = 1,
            .run_time = milliseconds(60),
            .pairs = 1,
            .lies = 1,
            .long_time = milliseconds(200)};
  }
  std::erase_if(plan.cells, [](const Cell& cell) {
    return !IsWanted(absl::GetFlag(FLAGS_cells), NameOf(cell));
  });
  return plan;
}

class Benchmark {
 public:
  explicit Benchmark(Plan plan) : plan_(std::move(plan)) {}

  // Parts that fail are missing in the figures, which say so.
  Figures Run() {
    Measure("grid", [&] { return MeasureGrid(Grid(), say_, figures_.rows); });
    Measure("2010", [&] { return MeasureGrid(GridOf2010(), say_, figures_.lock_bound); });
    Measure("shares", [&] { return MeasureShares(); });
    Measure("lies", [&] { return MeasureLiar(); });
    Measure("grpc", [&] { return MeasureGrpc(); });
    progress_.Clear();
    return std::move(figures_);
  }

 private:
  void Measure(const std::string& part, const std::function<absl::Status()>& measure) {
    if (!IsWanted(absl::GetFlag(FLAGS_parts), part)) return;
    if (absl::Status measured = measure(); !measured.ok()) {
      figures_.absent[part] = std::string(measured.message());
    }
  }

  GridPlan Grid() const {
    return {.cells = plan_.cells,
            .subjects = {Subject::kTestAndSet, Subject::kTicket, Subject::kSpinThenFutex,
                         Subject::kLockhostDirect, Subject::kLockhostBoost},
            .gap_ns = kGapNs,
            .runs = plan_.runs,
            .run_time = plan_.run_time};
  }
  // With hogs, as there; the pairings of 2017 ask for one cell with a second VM besides.
  GridPlan GridOf2010() const {
    GridPlan grid = Grid();
    std::erase_if(grid.cells, [](const Cell& cell) {
      return cell.neighbour == Neighbour::kVm && cell != Cell{2, Pinning::kNone, Neighbour::kVm};
    });
    std::erase(grid.subjects, Subject::kLockhostDirect);
    grid.gap_ns = kLockBoundGapNs;
    grid.run_time = plan_.run_time / 2;
    return grid;
  }

  absl::Status MeasureShares() {
    for (const Neighbour neighbour : {Neighbour::kHogs, Neighbour::kVm}) {
      const Cell cell = {4, Pinning::kNone, neighbour};
      const auto pairs = MeasureBoostedShares(
          {.cell = cell, .pairs = plan_.pairs, .run_time = plan_.long_time}, say_);
      if (!pairs.ok()) return pairs.status();
      figures_.boosted[NameOf(cell)] = *pairs;
    }
    return absl::OkStatus();
  }
  absl::Status MeasureLiar() {
    const auto pairs =
        MeasureLies({.cell = kFull, .pairs = plan_.lies, .run_time = plan_.long_time}, say_);
    if (!pairs.ok()) return pairs.status();
    figures_.lies = *pairs;
    return absl::OkStatus();
  }
  absl::Status MeasureGrpc() {
    say_("holders told of by gRPC");
    const auto holder_back = MeasureGrpcHolderBack(kFull, plan_.long_time);
    if (!holder_back.ok()) return holder_back.status();
    figures_.grpc_holder_back_ns = *holder_back;
    if (holder_back->Total() != 0) return absl::OkStatus();
    return absl::UnavailableError("no holder was boosted that was told of by gRPC");
  }

  static constexpr Cell kFull = {4, Pinning::kNone, Neighbour::kHogs};
  const Plan plan_;
  lab::Progress progress_{0};
  const Say say_ = [this](const std::string& what) { progress_.Phase(what); };
  Figures figures_;
};

// Where it runs. Errors: nothing can be boosted here.
absl::StatusOr<lab::Setting> LookAround() {
  auto vm = VmUnderTest::Start(lab::UsableCpus());
  if (!vm.ok()) return vm.status();
  return lab::LookAround((*vm)->session());
}

bool WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return static_cast<bool>(file);
}

int Run() {
  const auto setting = LookAround();
  Figures figures;
  if (setting.ok()) {
    std::fputs(lab::Wrapped(TextOf(*setting)).c_str(), stdout);
    figures = Benchmark(PlanFromFlags()).Run();
  } else {
    figures.absent["everything"] = std::string(setting.status().message());
  }
  std::fputs(TextOf(figures).c_str(), stdout);
  const std::string path = absl::GetFlag(FLAGS_json);
  if (path.empty()) return 0;
  const lab::Setting where = setting.ok() ? *setting : lab::Setting{};
  return WriteFile(path, ToJson(where, figures).dump(1) + "\n") ? 0 : 1;
}

int RunNeighbour(int vcpus) {
  const absl::Status ended =
      BeNeighbourVm(static_cast<uint32_t>(vcpus), absl::GetFlag(FLAGS_neighbour_fd));
  std::fprintf(stderr, "%s\n", ended.ToString().c_str());
  return 1;
}

}  // namespace
}  // namespace lockhost::bench

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv, "Measures boosts of preempted lock holders.");
  if (const int vcpus = absl::GetFlag(FLAGS_neighbour_vm); vcpus > 0) {
    return lockhost::bench::RunNeighbour(vcpus);
  }
  // Should a daemon leave a process behind, it becomes ours, and ends with us.
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  return lockhost::bench::Run();
}
