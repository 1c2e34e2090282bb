// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boost/shares.h"

#include <functional>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/page/report_page.h"
#include "tests/lab/demo/setting.h"
#include "tests/lab/harness/thread_usage.h"

namespace lockhost::bench {
namespace {

struct Reading {
  uint64_t at_ns;
  uint64_t vm_ns;
  uint64_t neighbour_ns;
  Work neighbour;
};

absl::StatusOr<Reading> Read(VmUnderTest& vm, const Company& company) {
  const auto vcpus = lab::ReadThreadUsage(vm.session().machine().vcpu_tids());
  if (!vcpus.ok()) return vcpus.status();
  const auto neighbour_ns = company.CpuNs();
  if (!neighbour_ns.ok()) return neighbour_ns.status();
  return Reading{.at_ns = NowNs(),
                 .vm_ns = vcpus->cpu_ns,
                 .neighbour_ns = *neighbour_ns,
                 .neighbour = company.Done()};
}

absl::StatusOr<Shares> Between(const absl::StatusOr<Reading>& first,
                               const absl::StatusOr<Reading>& last) {
  if (!first.ok()) return first.status();
  if (!last.ok()) return last.status();
  const auto ratio = [](uint64_t part, uint64_t whole) {
    return lab::Share(static_cast<double>(part), static_cast<double>(whole));
  };
  const uint64_t time_ns = last->at_ns - first->at_ns;
  return Shares{.vm = ratio(last->vm_ns - first->vm_ns, time_ns),
                .neighbour = ratio(last->neighbour_ns - first->neighbour_ns, time_ns),
                .neighbour_rate = 1e9 * ratio(last->neighbour.done - first->neighbour.done,
                                              last->neighbour.at_ns - first->neighbour.at_ns)};
}

// One long run, with what is to be tried or without.
using LongRun = std::function<absl::StatusOr<Shares>(VmUnderTest&, Company&, bool with)>;

absl::StatusOr<Pairs> MeasurePairs(const SharesPlan& plan, const Say& say, const LongRun& run) {
  auto vm = VmUnderTest::Start(VcpusPerCpu(plan.cell.overcommit) * lab::UsableCpus());
  if (!vm.ok()) return vm.status();
  const auto company = Company::Keep(plan.cell, (*vm)->session().machine().vcpu_tids());
  if (!company.ok()) return company.status();
  Pairs pairs;
  for (int pair = 0; pair < plan.pairs; ++pair) {
    say(absl::StrCat("long runs at ", NameOf(plan.cell), ", pair ", pair + 1));
    // Each goes first in every other pair.
    for (const bool with : {pair % 2 == 1, pair % 2 == 0}) {
      const absl::StatusOr<Shares> shares = run(**vm, **company, with);
      if (absl::Status alive = (*vm)->session().CheckDaemons(); !alive.ok()) return alive;
      if (absl::Status alive = (*company)->Check(); !alive.ok()) return alive;
      if (!shares.ok()) return shares.status();
      (with ? pairs.with : pairs.without).push_back(*shares);
    }
  }
  return pairs;
}

// Every vCPU holds a lock for which the next one waits.
void TellLies(lab::Session& session, bool lie) {
  auto* page = static_cast<char*>(session.pages().reports(/*watched=*/false).data());
  const uint32_t vcpus = session.machine().vcpus();
  for (uint32_t i = 0; i < vcpus; ++i) {
    auto* slot = reinterpret_cast<lockhost_report_slot*>(page + sizeof(lockhost_report_header)) + i;
    const uint64_t waits_for = (i + vcpus - 1) % vcpus + 1;
    __atomic_store_n(&slot->waits_for, lie ? waits_for : 0, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->report_word, lie ? uint64_t{i} + 1 : 0, __ATOMIC_RELAXED);
  }
}

}  // namespace

absl::StatusOr<Pairs> MeasureBoostedShares(const SharesPlan& plan, const Say& say) {
  return MeasurePairs(
      plan, say, [&](VmUnderTest& vm, Company& company, bool with) -> absl::StatusOr<Shares> {
        absl::StatusOr<Reading> first = absl::InternalError("not run"), last = first;
        const auto run = vm.session().Run({.subject = lab::Subject::kLockhostDirect,
                                           .critical_ns = kCriticalNs,
                                           .gap_ns = kGapNs,
                                           .duration = plan.run_time,
                                           .boost = with},
                                          [&] {
                                            first = Read(vm, company);
                                            std::this_thread::sleep_for(plan.run_time);
                                            last = Read(vm, company);
                                          });
        return run.ok() ? Between(first, last) : run.status();
      });
}

absl::StatusOr<Pairs> MeasureLies(const SharesPlan& plan, const Say& say) {
  return MeasurePairs(plan, say,
                      [&](VmUnderTest& vm, Company& company, bool with) -> absl::StatusOr<Shares> {
                        TellLies(vm.session(), with);
                        const auto first = Read(vm, company);
                        absl::Status ran = vm.session().Busy(plan.run_time, /*boost=*/true);
                        const auto last = Read(vm, company);
                        TellLies(vm.session(), false);
                        return ran.ok() ? Between(first, last) : ran;
                      });
}

}  // namespace lockhost::bench
