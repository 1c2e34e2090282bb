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
#include "tests/bench/locks/lab.h"
#include "tests/bench/locks/output.h"
#include "tests/bench/locks/plots.h"
#include "tests/bench/locks/runner.h"
#include "tests/bench/locks/subject.h"
#include "tests/bench/locks/work.h"
#include "tests/bench/run_order.h"
#include "tests/lab/demo/setting.h"
#include "tests/lab/harness/subject_names.h"

ABSL_FLAG(std::string, json, "", "also write the figures there");
ABSL_FLAG(int, runs, 5, "runs of each lock in each cell");
ABSL_FLAG(int, tries, 4,
          "runs at most in place of one during which the machine slowed down; 0: do not look");
ABSL_FLAG(int, ms, 40, "how long a run lasts");
ABSL_FLAG(int, lab_ms, 300, "how long a run lasts in the lab");
ABSL_FLAG(std::string, lab_backend, "kvm",
          "kvm; threads, which stand in for vCPUs; auto: threads where there is no KVM");
ABSL_FLAG(bool, quick, false, "a few cells alone, to see that it works");
ABSL_FLAG(std::vector<std::string>, workloads, {},
          "these alone: threads, barrier, uncontended, lab");
ABSL_FLAG(std::vector<std::string>, subjects, {}, "these locks alone");
ABSL_FLAG(std::vector<std::string>, threads, {}, "cells with so many threads or vCPUs alone");
ABSL_FLAG(std::vector<std::string>, cs_ns, {}, "cells with such critical sections alone");
ABSL_FLAG(std::vector<std::string>, gap_ns, {}, "cells with such gaps alone");
ABSL_FLAG(std::vector<std::string>, hogs, {}, "cells with so many hogs alone");
ABSL_FLAG(std::vector<std::string>, pinning, {}, "cells with these pinnings alone: A, B, C");
ABSL_FLAG(std::string, plots, "", "also write gnuplot scripts into this directory");
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

std::vector<Cell> Wanted(std::vector<Cell> cells) {
  std::erase_if(cells, [](const Cell& cell) {
    return !IsIn(absl::GetFlag(FLAGS_workloads), NameOf(cell.workload)) ||
           !IsIn(absl::GetFlag(FLAGS_threads), cell.threads) ||
           !IsIn(absl::GetFlag(FLAGS_hogs), cell.hogs) ||
           !IsIn(absl::GetFlag(FLAGS_pinning), std::string(1, cell.pinning)) ||
           !IsIn(absl::GetFlag(FLAGS_cs_ns), cell.cs_ns) ||
           !IsIn(absl::GetFlag(FLAGS_gap_ns), cell.gap_ns) ||
           !IsIn(absl::GetFlag(FLAGS_locks), cell.locks);
  });
  return cells;
}

std::vector<Subject> WantedSubjects(std::vector<std::string>* missing) {
  std::vector<Subject> subjects = AllSubjects(missing);
  std::erase_if(subjects, [missing](const Subject& subject) {
    if (!IsIn(absl::GetFlag(FLAGS_subjects), absl::string_view(subject.name))) return true;
    const std::string why = subject.why_missing != nullptr ? subject.why_missing() : "";
    if (!why.empty()) missing->push_back(absl::StrCat(subject.name, " (", why, ")"));
    return !why.empty();
  });
  return subjects;
}

LabPlan WantedOfLab() {
  const bool quick = absl::GetFlag(FLAGS_quick);
  LabPlan plan = {
      .cells = Wanted(LabCells(static_cast<int>(lab::UsableCpus()), quick)),
      .subjects = LabSubjects(),
      .backend =
          lab::BackendNamed(absl::GetFlag(FLAGS_lab_backend)).value_or(lab::BackendChoice::kKvm),
      .runs = absl::GetFlag(FLAGS_runs),
      .run_time = std::chrono::milliseconds(quick ? 30 : absl::GetFlag(FLAGS_lab_ms))};
  std::erase_if(plan.subjects, [](lab::Subject subject) {
    return !IsIn(absl::GetFlag(FLAGS_subjects), lab::NameOf(subject));
  });
  if (plan.subjects.empty()) plan.cells.clear();
  return plan;
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
          .missing = {},
          .lab_length_ms = static_cast<double>(absl::GetFlag(FLAGS_lab_ms))};
}

void Say(const std::string& progress) {
  if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r\033[K%s ", progress.c_str());
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
    for (const size_t i : RunOrder(locks.size(), run)) {
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

absl::Status MeasureThreads(const std::vector<Cell>& cells, const std::vector<Subject>& subjects,
                            Setting* setting, std::vector<Row>* rows) {
  const RunPlan plan = Calibrate(static_cast<uint64_t>(absl::GetFlag(FLAGS_ms)) * 1'000'000);
  for (size_t i = 0; i < cells.size(); ++i) {
    Say(absl::StrCat(i, " of ", cells.size(), " cells"));
    absl::Status status = MeasureCell(cells[i], subjects, plan, &setting->disturbed_runs, rows);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// A machine that cannot is no error: the figures say what is absent.
absl::Status MeasureVcpus(const LabPlan& plan, Setting* setting, std::vector<Row>* rows) {
  if (plan.cells.empty()) return absl::OkStatus();
  LabFacts facts;
  absl::Status status = MeasureLab(
      plan, [](const Cell& cell) { Say(NameOf(cell)); }, &facts, rows);
  if (absl::IsFailedPrecondition(status)) {
    setting->absent["lab"] = std::string(status.message());
    return absl::OkStatus();
  }
  if (!facts.is_kvm) {
    setting->lab_backend = "threads";
    setting->absent["lab: microVM"] = facts.why_not_kvm;
  }
  if (!facts.why_not_boosted.empty()) {
    setting->absent["lab: lockhost-boost"] = facts.why_not_boosted;
  }
  return status;
}

bool Write(const Setting& setting, const std::vector<Row>& rows) {
  const std::string json = absl::GetFlag(FLAGS_json);
  bool written = json.empty() || WriteFile(json, JsonOf(setting, rows));
  const std::string directory = absl::GetFlag(FLAGS_plots);
  if (directory.empty()) return written;
  for (const Plot& plot : PlotsOf(setting, rows)) {
    written &= WriteFile(absl::StrCat(directory, "/", plot.name, ".gp"), plot.script);
  }
  return written;
}

int Run() {
  Setting setting = ThisMachine();
  const std::vector<Subject> subjects = WantedSubjects(&setting.missing);
  std::vector<Cell> cells = Wanted(AllCells(absl::GetFlag(FLAGS_quick)));
  if (subjects.empty()) cells.clear();
  const LabPlan lab = WantedOfLab();
  if (cells.empty() && lab.cells.empty()) {
    std::fprintf(stderr, "no such lock or no such cell\n");
    return 1;
  }
  std::vector<Row> rows;
  absl::Status status = MeasureThreads(cells, subjects, &setting, &rows);
  if (status.ok()) status = MeasureVcpus(lab, &setting, &rows);
  Say("");
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  }
  std::fputs(TextOf(setting, rows).c_str(), stdout);
  return Write(setting, rows) ? 0 : 1;
}

}  // namespace
}  // namespace lockhost::bench

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv, "Measures the lock beside its peers.");
  return lockhost::bench::Run();
}
