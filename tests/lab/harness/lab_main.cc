// SPDX-License-Identifier: Apache-2.0
//
// lockhost-lab: one subject, one cell, one line. For experiments; `make demo` runs the
// whole grid.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/program_flags.h"
#include "tests/lab/harness/boost_times.h"
#include "tests/lab/harness/neighbours.h"
#include "tests/lab/harness/session.h"
#include "tests/lab/harness/subject_names.h"
#include "tests/lab/harness/summary.h"

ABSL_FLAG(std::vector<std::string>, subject, {"test-and-set"}, "subjects, interleaved; or 'all'");
ABSL_FLAG(uint32_t, vcpus, 4, "vCPUs of the VM");
ABSL_FLAG(uint32_t, cs_ns, 400, "critical section");
ABSL_FLAG(uint32_t, gap_ns, 200, "time between unlock and next lock");
ABSL_FLAG(double, seconds, 1.0, "length of a run");
ABSL_FLAG(int, runs, 3, "runs of each subject");
ABSL_FLAG(std::string, backend, "auto", "kvm, threads or auto");
ABSL_FLAG(bool, with_daemons, false, "start agent, lockhostd and guest agents beside the VM");
ABSL_FLAG(std::string, agent_socket, "",
          "use the agent that listens here: table and reports alone");
ABSL_FLAG(uint32_t, hogs, 0, "processes that compute for ever beside the VM");
ABSL_FLAG(std::string, pinning, "B",
          "A: a CPU for each vCPU and hog, B: none, C: vCPUs on one CPU");
ABSL_FLAG(bool, grpc_boosts, false,
          "lockhost-grpc: the host boosts whom the guest names over gRPC, and reads no report "
          "word itself; needs --with-daemons");
ABSL_FLAG(bool, own_lease, false, "hold the direct page's lease without a guest agent");

namespace lockhost::lab {
namespace {

// What the guest agent of the direct path does, once and for ever.
void HoldLease(const SharedMemory& memory) {
  auto* page = static_cast<lockhost_hint_header*>(memory.data());
  page->abi_version = LOCKHOST_PAGE_ABI_VERSION;
  page->header_size = sizeof(lockhost_hint_header);
  page->slot_stride = sizeof(lockhost_hint_slot);
  page->slot_count = 1;
  page->valid_until_ns = UINT64_MAX;
  __atomic_store_n(&page->magic, LOCKHOST_HINT_PAGE_MAGIC, __ATOMIC_RELEASE);
}

absl::StatusOr<std::unique_ptr<Session>> MakeSession() {
  const std::optional<BackendChoice> backend = BackendNamed(absl::GetFlag(FLAGS_backend));
  if (!backend.has_value()) {
    return absl::InvalidArgumentError("--backend: one of kvm, threads, auto");
  }
  absl::StatusOr<std::unique_ptr<Session>> session =
      Session::Create(absl::GetFlag(FLAGS_vcpus), *backend);
  if (!session.ok()) return session;
  if (!(*session)->why_not_kvm().empty()) {
    std::printf("threads stand in for vCPUs: %s\n", (*session)->why_not_kvm().c_str());
  }
  absl::Status up = absl::OkStatus();
  if (absl::GetFlag(FLAGS_with_daemons)) {
    up = (*session)->StartDaemons();
  } else if (!absl::GetFlag(FLAGS_agent_socket).empty()) {
    up = (*session)->UseAgent(absl::GetFlag(FLAGS_agent_socket));
  }
  if (!up.ok()) return up;
  if (absl::GetFlag(FLAGS_own_lease)) HoldLease((*session)->pages().direct_lease());
  return session;
}

absl::StatusOr<std::vector<Subject>> Subjects() {
  std::vector<Subject> subjects;
  for (const std::string& name : absl::GetFlag(FLAGS_subject)) {
    if (name == "all") {
      for (uint32_t i = 0; i < kSubjects; ++i) subjects.push_back(static_cast<Subject>(i));
      continue;
    }
    const std::optional<Subject> subject = SubjectNamed(name);
    if (!subject.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--subject=", name, ": one of ", absl::StrJoin(kSubjectNames, ", ")));
    }
    subjects.push_back(*subject);
  }
  return subjects;
}

std::string Quantiles(const Histogram& ns) {
  std::string out;
  for (const double q : {0.5, 0.99, 0.999, 0.9999, 0.99999, 1.0}) {
    absl::StrAppend(&out, out.empty() ? "" : "/", ns.Quantile(q));
  }
  return out;
}

// Boosts as the agent logged them; null where it boosts nobody, or there is none.
std::unique_ptr<agent::BoostLogReader> BoostLog(Session& session) {
  std::string socket = absl::GetFlag(FLAGS_agent_socket);
  if (session.daemons() != nullptr) socket = session.daemons()->agent_socket();
  if (socket.empty()) return nullptr;
  auto log = OpenBoostLog(socket);
  return log.ok() ? *std::move(log) : nullptr;
}

// Of one subject: its runs, and the boosts that came during them.
struct Measured {
  Summary summary;
  BoostTimes boosts;
};

void Print(const BoostTimes& boosts, double seconds) {
  if (boosts.count() == 0) return;
  const auto us = [](uint64_t ns) { return static_cast<double>(ns) / 1e3; };
  std::printf(
      "  boosts/s %.0f holder back on a CPU p50/p99 us %.0f/%.0f, of this until the booster "
      "acted %.0f/%.0f\n",
      static_cast<double>(boosts.count()) / seconds, us(boosts.BackNs(0.5)),
      us(boosts.BackNs(0.99)), us(boosts.ToldNs(0.5)), us(boosts.ToldNs(0.99)));
}

void Print(Subject subject, const Summary& all) {
  const MeanAndDeviation throughput = all.throughput();
  const RunResult& sum = all.sum();
  std::printf("%-16s %8.0f +- %6.0f kops/s  acquire p50/99/99.9/99.99/99.999/max ns %s\n",
              std::string(NameOf(subject)).c_str(), throughput.mean / 1e3, throughput.stddev / 1e3,
              Quantiles(all.acquire_ns()).c_str());
  std::printf("  fair %.2f lhp %s parks/s %.0f false-parks %.3f wasted-spin %.4f switches/s %.0f",
              all.fairness(),
              all.lock_holder_preemptions().has_value()
                  ? absl::StrCat(*all.lock_holder_preemptions()).c_str()
                  : "-",
              static_cast<double>(sum.parks) / sum.seconds, all.false_park_share(),
              all.wasted_spin_share(), all.switches_per_second());
  if (all.agreement().has_value()) {
    const double judged = static_cast<double>(sum.judged_ns);
    std::printf("\n  agreement %.4f false-running %.4f false-preempted %.4f no-hint %.4f",
                *all.agreement(), static_cast<double>(sum.false_running_ns) / judged,
                static_cast<double>(sum.false_preempted_ns) / judged,
                static_cast<double>(sum.no_hint_ns) / judged);
    std::printf(" delivery n %lu p50/p99 %lu/%lu ns", sum.delivery_ns.Total(),
                sum.delivery_ns.Quantile(0.5), sum.delivery_ns.Quantile(0.99));
  }
  std::printf("\n");
}

absl::Status Main() {
  absl::StatusOr<std::vector<Subject>> subjects = Subjects();
  if (!subjects.ok()) return subjects.status();
  absl::StatusOr<std::unique_ptr<Session>> session = MakeSession();
  if (!session.ok()) return session.status();
  const std::optional<Pinning> pinning = PinningNamed(absl::GetFlag(FLAGS_pinning));
  if (!pinning.has_value()) return absl::InvalidArgumentError("--pinning: one of A, B, C");
  const auto hogs = Neighbours::Start(absl::GetFlag(FLAGS_hogs));
  if (!hogs.ok()) return hogs.status();
  absl::Status pinned = Pin(*pinning, (*session)->machine().vcpu_tids(), (*hogs)->pids());
  if (!pinned.ok()) return pinned;
  RunSpec spec = {
      .critical_ns = absl::GetFlag(FLAGS_cs_ns),
      .gap_ns = absl::GetFlag(FLAGS_gap_ns),
      .duration = std::chrono::milliseconds(static_cast<int>(absl::GetFlag(FLAGS_seconds) * 1000)),
      .grpc_boosts = absl::GetFlag(FLAGS_grpc_boosts)};
  std::vector<Measured> all(subjects->size());
  const auto log = BoostLog(**session);
  uint64_t logged = 0;
  for (int run = 0; run < absl::GetFlag(FLAGS_runs); ++run) {
    for (size_t i = 0; i < subjects->size(); ++i) {
      spec.subject = (*subjects)[i];
      absl::StatusOr<RunResult> result = (*session)->Run(spec);
      if (!result.ok()) return result.status();
      if (absl::Status alive = (*session)->CheckDaemons(); !alive.ok()) return alive;
      all[i].summary.Add(*result);
      if (log == nullptr) continue;
      const std::vector<uint64_t> rings = (*session)->machine().TakeRings();
      for (const agent::BoostRecord& record : log->After(logged)) {
        all[i].boosts.Add(record, rings);
        logged = record.id;
      }
    }
  }
  for (size_t i = 0; i < subjects->size(); ++i) {
    Print((*subjects)[i], all[i].summary);
    Print(all[i].boosts, all[i].summary.sum().seconds);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace lockhost::lab

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv, "Measures one lock on one lab machine.");
  const absl::Status done = lockhost::lab::Main();
  if (done.ok()) return 0;
  std::fprintf(stderr, "lockhost-lab: %s\n", done.ToString().c_str());
  return 1;
}
