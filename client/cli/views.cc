// SPDX-License-Identifier: Apache-2.0
#include "client/cli/views.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/cli/text.h"

namespace lockhost::cli {
namespace {

using Lines = std::vector<std::string>;
using StateCounts = std::array<uint32_t, v1::RunState_ARRAYSIZE>;

// The agent makes ids of the time in milliseconds times 2,048: 16 digits until the year
// 2124. An id is never cut: it is what the operator types next.
std::string VmId(const v1::Vm& vm) { return absl::StrFormat("%16u", vm.vm_id()); }

std::string Fit(std::string line) {
  return line.size() > kColumns ? PadRight(line, kColumns) : line;
}

// An enum value without its prefix, in small letters: "running".
std::string StateName(v1::RunState state) {
  constexpr size_t kPrefix = sizeof("RUN_STATE_") - 1;
  const std::string& name = v1::RunState_Name(state);
  if (state == v1::RUN_STATE_UNSPECIFIED || name.size() < kPrefix) return "no hint";
  return absl::AsciiStrToLower(name.substr(kPrefix));
}

const char* ModeName(v1::Mode mode) {
  if (mode == v1::MODE_DEDICATED) return "dedic.";
  return mode == v1::MODE_OVERCOMMITTED ? "overc." : "-";
}

std::string OrDash(const std::string& text) { return text.empty() ? "-" : Printable(text); }

// steal %, preemptions/s, lock-holder preemptions/s; 21 characters.
std::string RateColumns(const std::optional<Rates>& rates) {
  if (!rates) return absl::StrCat(PadLeft("-", 7), PadLeft("-", 7), PadLeft("-", 7));
  return absl::StrCat(PadLeft(absl::StrFormat("%.1f", 100 * rates->steal), 7),
                      PadLeft(ShortRate(rates->preemptions), 7),
                      PadLeft(ShortRate(rates->lock_holder_preemptions), 7));
}

// boosts/s and what is left of the budget; 12 characters.
std::string BoostColumns(const v1::Vm& vm, const std::optional<Rates>& rates) {
  if (!vm.has_boosts() || !vm.boosts().enabled()) return PadLeft("off", 6) + PadLeft("-", 6);
  const int64_t left_ns = std::max<int64_t>(vm.boosts().budget_left_ns(), 0);
  return absl::StrCat(PadLeft(rates ? ShortRate(rates->boosts) : "-", 6),
                      PadLeft(ShortDuration(static_cast<uint64_t>(left_ns)), 6));
}

constexpr char kRateTitles[] = " STEAL%  PRE/s  LHP/s";
constexpr char kBoostTitles[] = " BST/s  LEFT";
constexpr size_t kTopNameWidth = 7;
constexpr size_t kTopModeWidth = 4;
constexpr size_t kTopStateWidth = 4;
constexpr size_t kTableNameWidth = 16;
constexpr size_t kVmmWidth = 11;
constexpr size_t kModeWidth = 6;

const char* AskerName(v1::BoostAsker asker) {
  switch (asker) {
    case v1::BOOST_ASKER_GRPC:
      return "gRPC ";
    case v1::BOOST_ASKER_HEIR:
      return "heir ";
    default:
      return "";
  }
}

const char* EndName(v1::BoostEnd end) {
  switch (end) {
    case v1::BOOST_END_RELEASED:
      return "released";
    case v1::BOOST_END_HALTED:
      return "halted";
    case v1::BOOST_END_TIMED_OUT:
      return "limit";
    case v1::BOOST_END_GONE:
      return "gone";
    case v1::BOOST_END_STOPPED:
      return "stopped";
    default:
      return "ended";
  }
}

StateCounts CountStates(const google::protobuf::RepeatedPtrField<v1::VcpuHint>& vcpus) {
  StateCounts counts{};
  for (const v1::VcpuHint& vcpu : vcpus) {
    if (v1::RunState_IsValid(vcpu.run_state())) ++counts[vcpu.run_state()];
  }
  return counts;
}

std::string VcpuLine(uint64_t vm_id, const v1::VcpuHint& vcpu, const RateMeter& rates) {
  return absl::StrCat(PadLeft(absl::StrCat("vCPU ", vcpu.vcpu_id()), 16), "  ",
                      PadRight(StateName(vcpu.run_state()), 10), "for ",
                      PadLeft(ShortDuration(vcpu.age_ns()), 6), PadLeft("", 9),
                      RateColumns(rates.OfVcpu(vm_id, vcpu.vcpu_id())));
}

std::string TopVmLine(const v1::Vm& vm, const RateMeter& rates) {
  const StateCounts counts = CountStates(vm.vcpus());
  std::string line = absl::StrCat(
      VmId(vm), " ", PadRight(OrDash(vm.name()), kTopNameWidth), " ",
      PadRight(std::string_view(ModeName(vm.mode())).substr(0, kTopModeWidth), kTopModeWidth),
      vm.demand() ? " *" : "  ");
  for (const v1::RunState state : {v1::RUN_STATE_RUNNING, v1::RUN_STATE_PREEMPTED,
                                   v1::RUN_STATE_HALTED, v1::RUN_STATE_EXITED}) {
    absl::StrAppend(&line, PadLeft(absl::StrCat(counts[state]), kTopStateWidth));
  }
  const std::optional<Rates> found = rates.OfVm(vm.vm_id());
  return absl::StrCat(line, RateColumns(found), BoostColumns(vm, found));
}

std::vector<const v1::Vm*> BusiestFirst(const v1::ListVmsResponse& list, const RateMeter& rates) {
  std::vector<const v1::Vm*> order;
  for (const v1::Vm& vm : list.vms()) order.push_back(&vm);
  const auto key = [&rates](const v1::Vm* vm) {
    const Rates found = rates.OfVm(vm->vm_id()).value_or(Rates{});
    return std::pair(found.lock_holder_preemptions, found.steal);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&key](const v1::Vm* a, const v1::Vm* b) { return key(a) > key(b); });
  return order;
}

Lines TopHead(const v1::ListVmsResponse& list) {
  StateCounts all{};
  size_t vcpus = 0;
  for (const v1::Vm& vm : list.vms()) {
    const StateCounts counts = CountStates(vm.vcpus());
    for (size_t i = 0; i < all.size(); ++i) all[i] += counts[i];
    vcpus += static_cast<size_t>(vm.vcpus_size());
  }
  std::string source = "source " + Printable(list.source());
  if (list.has_overcommit_ratio()) {
    source = absl::StrFormat("overcommit %.2f, %s", list.overcommit_ratio(), source);
  }
  if (!list.source_reason().empty()) {
    absl::StrAppend(&source, " (", Printable(list.source_reason()), ")");
  }
  return {Fit(absl::StrCat(Counted(static_cast<size_t>(list.vms_size()), "VM"), ", ",
                           Counted(vcpus, "vCPU"), ": ", all[v1::RUN_STATE_RUNNING], " running, ",
                           all[v1::RUN_STATE_PREEMPTED], " preempted, ", all[v1::RUN_STATE_HALTED],
                           " halted, ", all[v1::RUN_STATE_EXITED], " exited")),
          Fit(source), "",
          absl::StrCat(PadLeft("VM", 16), " ", PadRight("NAME", kTopNameWidth), " ",
                       PadRight("MODE", kTopModeWidth), " * RUN PRE HLT EXT", kRateTitles,
                       kBoostTitles)};
}

}  // namespace

Lines VmTable(const v1::ListVmsResponse& list) {
  Lines lines = {absl::StrCat(PadLeft("VM", 16), " ", PadRight("NAME", kTableNameWidth), " ",
                              PadRight("VMM", kVmmWidth), "     PID VCPUS DEMAND ",
                              PadRight("MODE", kModeWidth), "  WAIT%")};
  for (const v1::Vm& vm : list.vms()) {
    const std::string wait =
        vm.has_steal_ratio() ? absl::StrFormat("%.1f", 100 * vm.steal_ratio()) : "-";
    lines.push_back(absl::StrCat(
        VmId(vm), " ", PadRight(OrDash(vm.name()), kTableNameWidth), " ",
        PadRight(OrDash(vm.vmm()), kVmmWidth), PadLeft(absl::StrCat(vm.pid()), 8),
        PadLeft(absl::StrCat(vm.vcpu_count()), 6), PadLeft(vm.demand() ? "yes" : "no", 7), " ",
        PadRight(ModeName(vm.mode()), kModeWidth), PadLeft(wait, 7)));
  }
  if (list.vms().empty()) lines = {"no VM runs here"};
  return lines;
}

Lines WatchFrame(const v1::WatchVmResponse& message, const RateMeter& rates) {
  const v1::Vm& vm = message.vm();
  std::string head = absl::StrCat("VM ", vm.vm_id());
  if (!vm.name().empty()) absl::StrAppend(&head, " ", Printable(vm.name()));
  if (!vm.vmm().empty()) absl::StrAppend(&head, " (", Printable(vm.vmm()), ")");
  absl::StrAppend(&head, ", pid ", vm.pid(), ", generation ", vm.generation(), ", ",
                  Counted(vm.streams(), "stream"), ", ", vm.demand() ? "demand" : "no demand");
  Lines lines = Wrap(head, kColumns);
  lines.push_back(
      absl::StrCat("            VCPU  STATE         SINCE", PadLeft("", 10), kRateTitles));
  for (const v1::VcpuHint& vcpu : message.vcpus()) {
    lines.push_back(VcpuLine(vm.vm_id(), vcpu, rates));
  }
  if (message.vcpus().empty()) lines.emplace_back("no vCPU was seen yet");
  return lines;
}

std::string TraceLine(const v1::Boost& boost, uint64_t now_ns) {
  const uint64_t at_ns = now_ns - std::min(boost.preempted_age_ns(), now_ns);
  const absl::Time at = absl::FromUnixNanos(static_cast<int64_t>(at_ns));
  std::string line = absl::StrCat(
      absl::FormatTime("%H:%M:%E3S", at, absl::LocalTimeZone()), " vCPU ", boost.vcpu_id(),
      " preempted, ", AskerName(boost.asker()), "boost +", ShortDuration(boost.boosted_after_ns()));
  if (boost.has_running_after_ns()) {
    absl::StrAppend(&line, ", ran +", ShortDuration(boost.running_after_ns()));
  }
  absl::StrAppend(&line, ", ", EndName(boost.end()), " +", ShortDuration(boost.ended_after_ns()));
  return line;
}

Lines TopFrame(const v1::ListVmsResponse& list, const RateMeter& rates, size_t height) {
  Lines lines = TopHead(list);
  size_t wanted = lines.size() + static_cast<size_t>(list.vms_size());
  for (const v1::Vm& vm : list.vms()) wanted += static_cast<size_t>(vm.vcpus_size());
  const bool with_vcpus = height == 0 || wanted <= height;
  for (const v1::Vm* vm : BusiestFirst(list, rates)) {
    lines.push_back(TopVmLine(*vm, rates));
    if (!with_vcpus) continue;
    for (const v1::VcpuHint& vcpu : vm->vcpus()) {
      lines.push_back(VcpuLine(vm->vm_id(), vcpu, rates));
    }
  }
  if (height != 0 && lines.size() > height) {
    const size_t hidden = lines.size() - height + 1;
    lines.resize(height - 1);
    lines.push_back(absl::StrCat("... ", hidden, " more VMs; the window is too small"));
  }
  return lines;
}

}  // namespace lockhost::cli
