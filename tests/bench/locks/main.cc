// SPDX-License-Identifier: Apache-2.0

// lockhost-bench-locks: the lock beside its peers. `make bench-locks`.
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/program_flags.h"
#include "tests/bench/locks/output.h"
#include "tests/bench/locks/runner.h"
#include "tests/bench/locks/subject.h"
#include "tests/bench/locks/work.h"

ABSL_FLAG(std::string, json, "", "also write the figures there");
ABSL_FLAG(int, runs, 5, "runs of each lock in each cell");
ABSL_FLAG(int, tries, 4,
          "runs at most in place of one during which the machine slowed down; 0: do not look");
ABSL_FLAG(int, ms, 40, "how long a run lasts");
ABSL_FLAG(bool, quick, false, "a few cells alone, to see that it works");
ABSL_FLAG(std::vector<std::string>, workloads, {}, "these alone: threads, barrier, uncontended");
ABSL_FLAG(std::vector<std::string>, subjects, {}, "these locks alone");
ABSL_FLAG(std::vector<std::string>, threads, {}, "cells with so many threads alone");
ABSL_FLAG(std::vector<std::string>, cs_ns, {}, "cells with such critical sections alone");
ABSL_FLAG(std::vector<std::string>, gap_ns, {}, "cells with such gaps alone");
ABSL_FLAG(std::vector<std::string>, locks, {}, "cells with so many locks alone");

namespace lockhost::bench {
namespace {

// No list means everything.
bool IsIn(const std::vector<std::string>& list, absl::string_view value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

bool IsIn(const std::vector<std::string>& list, int value) {
  return IsIn(list, absl::string_view(absl::StrCat(value)));
}

std::vector<Cell> WantedCells() {
  std::vector<Cell> cells = AllCells(absl::GetFlag(FLAGS_quick));
  std::erase_if(cells, [](const Cell& cell) {
    return !IsIn(absl::GetFlag(FLAGS_workloads), NameOf(cell.workload)) ||
           !IsIn(absl::GetFlag(FLAGS_threads), cell.threads) ||
           !IsIn(absl::GetFlag(FLAGS_cs_ns), cell.cs_ns) ||
           !IsIn(absl::GetFlag(FLAGS_gap_ns), cell.gap_ns) ||
           !IsIn(absl::GetFlag(FLAGS_locks), cell.locks);
  });
  return cells;
}

std::vector<Subject> WantedSubjects(std::vector<std::string>* missing) {
  std::vector<Subject> subjects = AllSubjects(missing);
  std::erase_if(subjects, [](const Subject& subject) {
    return !IsIn(absl::GetFlag(FLAGS_subjects), absl::string_view(subject.name));
  });
  return subjects;
}

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

Setting ThisMachine() {
  utsname system{};
  uname(&system);
  return {.cpus = sysconf(_SC_NPROCESSORS_ONLN),
          .kernel = system.release,
          .cpu_model = CpuModel(),
          .runs = absl::GetFlag(FLAGS_runs),
          .length_ms = static_cast<double>(absl::GetFlag(FLAGS_ms)),
          .missing = {}};
}

// The runs of one cell: each lock in turn, so that whatever the machine does hits all of them.
absl::Status MeasureCell(const Cell& cell, const std::vector<Subject>& subjects,
                         const RunPlan& plan, int* disturbed, std::vector<Row>* rows) {
  const size_t first = rows->size();
  std::vector<const Subject*> locks;
  for (const Subject& subject : subjects) {
    if (subject.uncontended_only && cell.workload != Workload::kUncontended) continue;
    locks.push_back(&subject);
    rows->push_back({.cell = cell, .subject = subject.name, .ours = subject.ours});
  }
  for (int run = 0; run < absl::GetFlag(FLAGS_runs); ++run) {
    for (size_t i = 0; i < locks.size(); ++i) {
      const auto sample =
          RunAtFullPace(*locks[i], cell, plan, absl::GetFlag(FLAGS_tries), disturbed);
      if (!sample.ok()) return sample.status();
      (*rows)[first + i].Add(**sample);
    }
  }
  return absl::OkStatus();
}

bool WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return static_cast<bool>(file);
}

int Run() {
  Setting setting = ThisMachine();
  const std::vector<Subject> subjects = WantedSubjects(&setting.missing);
  const std::vector<Cell> cells = WantedCells();
  if (subjects.empty() || cells.empty()) {
    std::fprintf(stderr, "no such lock or no such cell\n");
    return 1;
  }
  const RunPlan plan = Calibrate(static_cast<uint64_t>(absl::GetFlag(FLAGS_ms)) * 1'000'000);
  std::vector<Row> rows;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (isatty(STDERR_FILENO) != 0) {
      std::fprintf(stderr, "\r%zu of %zu cells ", i, cells.size());
    }
    const absl::Status status =
        MeasureCell(cells[i], subjects, plan, &setting.disturbed_runs, &rows);
    if (!status.ok()) {
      std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
      return 1;
    }
  }
  std::fputs(TextOf(setting, rows).c_str(), stdout);
  const std::string path = absl::GetFlag(FLAGS_json);
  return path.empty() || WriteFile(path, JsonOf(setting, rows)) ? 0 : 1;
}

}  // namespace
}  // namespace lockhost::bench

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv, "Measures the lock beside its peers.");
  return lockhost::bench::Run();
}
