// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/agent/fleet.h"

#include <csignal>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/kernel/procfs.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/vmm_process.h"
#include "tests/bench/agent/agent_under_test.h"

namespace lockhost::bench {
namespace {

using agent::Eventually;
using agent::VmmProcess;
using VcpuName = std::pair<pid_t, uint32_t>;  // process, vCPU id

// The sum of the numbers behind `key` in a status file's lines.
uint64_t SumOfLines(const std::string& path, const std::string& key) {
  std::ifstream status(path);
  uint64_t sum = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.find(key) != std::string::npos) sum += std::stoull(line.substr(line.find(':') + 1));
  }
  return sum;
}

class Fleet {
 public:
  absl::Status Start(const FleetPlan& plan) {
    for (int i = 0; i < plan.vms; ++i) {
      auto vmm = VmmProcess::Start(plan.vcpus_each, VmmProcess::Guest::kHalts, plan.tick);
      if (!vmm.ok()) return vmm.status();
      vmms_.push_back(*std::move(vmm));
    }
    return absl::OkStatus();
  }

  // All threads of all VMMs; returns when every one has stopped.
  void Stop() const {
    Signal(SIGSTOP);
    const auto procfs = agent::Procfs::Open();
    for (const auto& vmm : vmms_) {
      for (const pid_t tid : vmm->VcpuThreads()) {
        Eventually([&] {
          const auto stat = procfs->ThreadStat(vmm->pid(), tid);
          return !stat || stat->state == 'T';
        });
      }
    }
  }
  void Continue() const { Signal(SIGCONT); }

  std::map<VcpuName, uint64_t> SwitchesByProc() const {
    std::map<VcpuName, uint64_t> all;
    for (const auto& vmm : vmms_) {
      const std::vector<pid_t> tids = vmm->VcpuThreads();
      for (uint32_t id = 0; id < tids.size(); ++id) {
        all[{vmm->pid(), id}] = SumOfLines(
            absl::StrCat("/proc/", vmm->pid(), "/task/", tids[id], "/status"), "ctxt_switches:");
      }
    }
    return all;
  }

  size_t size() const { return vmms_.size(); }

 private:
  void Signal(int signal) const {
    for (const auto& vmm : vmms_) vmm->Signal(signal);
  }

  std::vector<std::unique_ptr<VmmProcess>> vmms_;
};

std::map<VcpuName, uint64_t> SwitchesByBooks(AgentUnderTest& agent) {
  agent.Listen();
  std::map<VcpuName, uint64_t> all;
  for (const auto& place : agent.stats()->Places()) {
    const auto vm = agent.vms().find(place.vm_id);
    if (vm == agent.vms().end()) continue;
    const lockhost_vcpu_stats books = agent.stats()->Read(place);
    if (books.vm_id != 0) all[{vm->second.pid, books.vcpu_id}] = books.switch_outs;
  }
  return all;
}

using Counts = std::map<VcpuName, uint64_t>;

void Compare(const Counts& proc_before, const Counts& proc_after, const Counts& books_before,
             const Counts& books_after, FleetFigures* figures) {
  for (const auto& [vcpu, after] : proc_after) {
    const uint64_t by_proc = after - proc_before.at(vcpu);
    const auto before = books_before.find(vcpu);
    const auto now = books_after.find(vcpu);
    const uint64_t by_books =
        before == books_before.end() || now == books_after.end() ? 0 : now->second - before->second;
    figures->switches += by_proc;
    figures->switches_in_books += by_books;
    figures->threads_that_differ += by_proc != by_books ? 1 : 0;
  }
}

}  // namespace

absl::StatusOr<FleetFigures> MeasureFleet(const FleetPlan& plan) {
  auto agent = AgentUnderTest::Start("bpf");
  if (!agent.ok()) return agent.status();
  Fleet fleet;
  if (absl::Status started = fleet.Start(plan); !started.ok()) return started;
  FleetFigures figures;
  figures.vms = plan.vms;
  figures.vcpus = plan.vms * plan.vcpus_each;
  const bool complete = Eventually([&] {
    fleet.Continue();
    return SwitchesByBooks(**agent).size() >= static_cast<size_t>(figures.vcpus);
  });
  if (!complete) return absl::InternalError("the agent has not found all vCPUs");
  fleet.Stop();
  const Counts proc_before = fleet.SwitchesByProc();
  const Counts books_before = SwitchesByBooks(**agent);
  const uint64_t agent_before_ns = RunNs((*agent)->pid());
  const auto begin = std::chrono::steady_clock::now();
  fleet.Continue();
  std::this_thread::sleep_for(plan.length);
  fleet.Stop();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  const uint64_t agent_after_ns = RunNs((*agent)->pid());
  Compare(proc_before, fleet.SwitchesByProc(), books_before, SwitchesByBooks(**agent), &figures);
  figures.seconds = passed.count();
  figures.switches_per_second = static_cast<double>(figures.switches) / figures.seconds;
  figures.agent_cpu_percent =
      static_cast<double>(agent_after_ns - agent_before_ns) / 1e7 / figures.seconds;
  figures.agent_rss_bytes =
      SumOfLines(absl::StrCat("/proc/", (*agent)->pid(), "/status"), "VmRSS:") * 1024;
  return figures;
}

}  // namespace lockhost::bench
