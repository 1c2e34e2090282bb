// SPDX-License-Identifier: Apache-2.0
//
// What the doctor prints of typical machines, word by word. LOCKHOST_UPDATE_GOLDEN=1
// writes the files anew.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_split.h"
#include "agent/doctor/host_checks.h"
#include "client/cli/doctor/guest_checks.h"
#include "client/cli/doctor/report.h"

namespace lockhost::doctor {
namespace {

constexpr uint64_t kAllCapabilities = ~uint64_t{0};
constexpr uint32_t kStealTime = 1u << 5;
constexpr uint32_t kPvUnhalt = 1u << 7;
constexpr uint32_t kPvSchedYield = 1u << 13;

HostFacts GoodHost() {
  HostFacts facts;
  facts.kernel.release = "6.1.0-30-amd64";
  facts.kernel.has_btf = true;
  facts.kernel.config = KernelConfig{{"CONFIG_BPF_SYSCALL", "CONFIG_DEBUG_INFO_BTF",
                                      "CONFIG_PREEMPT_NOTIFIERS", "CONFIG_SCHED_INFO"}};
  facts.kernel.kvm_device = Access::kUsable;
  facts.kernel.kvm_modules = {"kvm_intel"};
  facts.kernel.lockdown = "none";
  facts.kernel.counts_run_delay = true;
  facts.kernel.online_cpus = 8;
  facts.kernel.rt_runtime_us = 950'000;
  facts.kernel.rt_period_us = 1'000'000;
  facts.privileges = {.capabilities = kAllCapabilities,
                      .unprivileged_bpf_disabled = 2,
                      .perf_event_paranoid = 3,
                      .initial_pid_namespace = true,
                      .hidepid = "",
                      .has_bpffs = true};
  facts.qemus = {
      {.pid = 100, .fds_readable = true, .vcpu_fds = 16, .stats_fds = 16, .named_threads = 16}};
  facts.vcpu_fds = 16;
  facts.agent = {.reached = {},
                 .answer = {},
                 .source = "bpf",
                 .reason = "",
                 .pid = 42,
                 .capabilities = kAllCapabilities,
                 .vms = 1,
                 .vcpus = 16,
                 .load = LoadFacts{1.87, 0.123, {0, 0, 1}},
                 .boosts = BoostFacts{"fifo", "", 0, 0}};
  return facts;
}

std::vector<Section> Examined(const HostFacts& facts, const absl::Status& server = {}) {
  Section section{"host", KernelChecks(facts)};
  for (const Checks& more : {PrivilegeChecks(facts), BoostChecks(facts),
                             ServiceChecks(facts, server, "/run/lockhost/admin.sock")}) {
    section.checks.insert(section.checks.end(), more.begin(), more.end());
  }
  return {section};
}

GuestFacts GoodGuest() {
  GuestFacts facts;
  facts.hypervisor = {.present = true,
                      .signature = "KVMKVMKVM",
                      .is_kvm = true,
                      .features = kStealTime | kPvUnhalt | kPvSchedYield,
                      .hints = 0};
  facts.config = KernelConfig{{"CONFIG_KVM_GUEST", "CONFIG_PARAVIRT_SPINLOCKS"}};
  facts.command_line = "root=/dev/vda1 quiet";
  facts.spinlock_log = "PV spinlocks enabled";
  facts.possible_cpus = 4;
  facts.steal_s = 12.34;
  facts.page = {.status = {},
                .slots = 256,
                .mode = LOCKHOST_MODE_OVERCOMMITTED,
                .path = LOCKHOST_PAGE_PATH_GRPC,
                .generation = 7,
                .valid_until_ns = 12'000'000'000,
                .looked_at_ns = 10'000'000'000};
  facts.environment = {.hints_off = false, .hint_page = "/run/lockhost-guest/hints"};
  return facts;
}

std::vector<Section> Examined(const GuestFacts& facts) {
  Section section{"guest", HypervisorChecks(facts)};
  const Checks more = HintChecks(facts);
  section.checks.insert(section.checks.end(), more.begin(), more.end());
  return {section};
}

void ExpectGolden(const std::string& name, const std::vector<Section>& sections) {
  const std::string path = std::string(LOCKHOST_GOLDEN_DIR) + "/" + name + ".txt";
  const std::string printed = RenderText(sections, false);
  for (const absl::string_view line : absl::StrSplit(printed, '\n')) {
    EXPECT_LE(line.size(), 80u) << line;
  }
  if (getenv("LOCKHOST_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << printed;
  std::stringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(printed, golden.str());
}

TEST(DoctorGoldenTest, HostAllWell) {
  ExpectGolden("host_all_well", Examined(GoodHost()));
  EXPECT_TRUE(HintsFlow(Examined(GoodHost())));
}

TEST(DoctorGoldenTest, HostWithoutBtf) {
  HostFacts facts = GoodHost();
  facts.kernel.has_btf = false;
  facts.kernel.kvm_types = absl::NotFoundError("none");
  facts.kernel.switch_signature = absl::NotFoundError("cannot read /sys/kernel/btf/vmlinux");
  facts.kernel.config->enabled.erase("CONFIG_DEBUG_INFO_BTF");
  facts.agent.source = "procfs";
  facts.agent.reason = "bpf: no kernel type information in /sys/kernel/btf/vmlinux";
  facts.qemus[0].named_threads = 0;
  ExpectGolden("host_without_btf", Examined(facts));
  EXPECT_FALSE(HintsFlow(Examined(facts)));
}

TEST(DoctorGoldenTest, HostLockedDown) {
  HostFacts facts = GoodHost();
  facts.kernel.lockdown = "confidentiality";
  facts.agent = {};
  facts.agent.reached = absl::NotFoundError("/run/lockhost-agent/agent.sock: no such file");
  facts.bpf_attempt = absl::InvalidArgumentError("loading BPF programs");
  ExpectGolden("host_locked_down",
               Examined(facts, absl::NotFoundError("lockhostd does not run here")));
}

TEST(DoctorGoldenTest, HostWithoutBoosts) {
  HostFacts facts = GoodHost();
  facts.agent.capabilities = kAllCapabilities & ~(uint64_t{1} << kCapSysNice);
  facts.agent.boosts = BoostFacts{"none", "fifo: not permitted; nice: not permitted", 0, 0};
  facts.kernel.rt_runtime_us = -1;
  ExpectGolden("host_without_boosts", Examined(facts));
  EXPECT_TRUE(HintsFlow(Examined(facts))) << "hints need no boosts";
}

TEST(BoostChecksTest, SayWhatKeepsThemFromWorking) {
  HostFacts facts = GoodHost();
  facts.agent.boosts = BoostFacts{"none", "switched off", 0, 0};
  Checks checks = BoostChecks(facts);
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[0].verdict, Verdict::kWarning);
  EXPECT_EQ(checks[0].advice, "start the agent with --boost=auto");
  facts.agent.boosts = BoostFacts{"nice", "fifo: not permitted", 1, 1};
  checks = BoostChecks(facts);
  ASSERT_EQ(checks.size(), 4u);
  EXPECT_EQ(checks[0].verdict, Verdict::kWarning) << "there is a better one";
  EXPECT_EQ(checks[2].finding, "off for 1 of 1 VM (lockhost boost VM on)");
  EXPECT_EQ(checks[3].verdict, Verdict::kWarning);
  facts.kernel.rt_runtime_us = 10'000;
  EXPECT_EQ(BoostChecks(facts)[1].verdict, Verdict::kWarning);
  facts.agent.boosts.reset();
  EXPECT_EQ(BoostChecks(facts)[0].finding, "cannot tell: the agent was not heard");
}

TEST(DoctorGoldenTest, HostSeenByAnUnprivilegedUser) {
  HostFacts facts = GoodHost();
  facts.kernel.kvm_device = Access::kDenied;
  facts.kernel.config.reset();
  facts.privileges.capabilities = 0;
  facts.privileges.hidepid = "invisible";
  facts.privileges.unprivileged_bpf_disabled = 0;
  facts.qemus[0].fds_readable = false;
  facts.vcpu_fds = 0;
  facts.agent = {};
  facts.agent.reached = absl::PermissionDeniedError("agent.sock");
  facts.bpf_attempt = absl::PermissionDeniedError("loading BPF programs");
  ExpectGolden("host_unprivileged", Examined(facts, absl::PermissionDeniedError("admin.sock")));
  EXPECT_FALSE(HintsFlow(Examined(facts, absl::PermissionDeniedError("admin.sock"))));
}

TEST(DoctorGoldenTest, WithoutAMeasureTheNumbersOfVcpusAndCpusSpeak) {
  const auto overcommit = [](const HostFacts& facts) { return Examined(facts)[0].checks.back(); };
  HostFacts facts = GoodHost();
  EXPECT_EQ(overcommit(facts).name, "lock mode");
  facts.agent.load.reset();
  EXPECT_EQ(overcommit(facts).finding, "16 vCPUs on 8 CPUs: they have to share, hints matter");
  facts.kernel.online_cpus = 16;
  EXPECT_EQ(overcommit(facts).finding,
            "16 vCPUs on 16 CPUs: there is one for each, unless others need it");
  facts.kernel.online_cpus = 0;
  EXPECT_EQ(overcommit(facts).verdict, Verdict::kWarning);
}

TEST(DoctorGoldenTest, WithoutVmsNothingIsSaidOfTheirLoad) {
  HostFacts facts = GoodHost();
  facts.agent.vms = 0;
  facts.agent.vcpus = 0;
  facts.vcpu_fds = 0;
  const Checks checks = Examined(facts)[0].checks;
  EXPECT_EQ(checks.back().finding,
            "0 vCPUs on 8 CPUs; in the last 10 s each CPU had 1.87 threads that ran or wanted to");
}

TEST(DoctorGoldenTest, LockhostdSpeaksForAnAgentThatThisUserMayNotAsk) {
  HostFacts facts = GoodHost();
  facts.agent = {};
  facts.agent.reached = absl::PermissionDeniedError("agent.sock");
  facts.agent.source = "bpf";
  EXPECT_TRUE(HintsFlow(Examined(facts)));
  facts.agent.source = "procfs";
  EXPECT_FALSE(HintsFlow(Examined(facts)));
}

TEST(DoctorGoldenTest, GuestAllWell) {
  ExpectGolden("guest_all_well", Examined(GoodGuest()));
  EXPECT_TRUE(HintsFlow(Examined(GoodGuest())));
}

TEST(DoctorGoldenTest, GuestWithStealTimeOnly) {
  GuestFacts facts = GoodGuest();
  facts.hypervisor.features = kStealTime;
  facts.spinlock_log = "PV spinlocks disabled, no host support";
  facts.page.valid_until_ns = 4'000'000'000;
  ExpectGolden("guest_steal_time_only", Examined(facts));
  EXPECT_FALSE(HintsFlow(Examined(facts)));
}

TEST(DoctorGoldenTest, GuestWithNothing) {
  GuestFacts facts = GoodGuest();
  facts.hypervisor.features = 0;
  facts.hypervisor.hints = 1;
  facts.spinlock_log.clear();
  facts.page = {};
  facts.page.status = absl::NotFoundError("no such file");
  facts.environment.hints_off = true;
  ExpectGolden("guest_with_nothing", Examined(facts));
}

TEST(DoctorReportTest, JsonSaysTheSame) {
  const std::string json =
      RenderJson({{"host", {Problem("KVM", "a \"quoted\" finding", "an advice")}}});
  google::protobuf::Struct report;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &report).ok()) << json;
  EXPECT_EQ(json.find('\n'), std::string::npos);
  EXPECT_FALSE(report.fields().at("hints_flow").bool_value());
  const auto& section = report.fields().at("sections").list_value().values(0).struct_value();
  EXPECT_EQ(section.fields().at("title").string_value(), "host");
  const auto& check = section.fields().at("checks").list_value().values(0).struct_value();
  EXPECT_EQ(check.fields().at("verdict").string_value(), "problem");
  EXPECT_EQ(check.fields().at("name").string_value(), "KVM");
  EXPECT_EQ(check.fields().at("finding").string_value(), "a \"quoted\" finding");
  EXPECT_EQ(check.fields().at("advice").string_value(), "an advice");
}

TEST(DoctorReportTest, WhatProcessesCallThemselvesCannotDriveTheTerminal) {
  const std::string printed = RenderText({{"host", {Ok("agent", "named \x1b[2J\n")}}}, false);
  EXPECT_EQ(printed.find('\x1b'), std::string::npos);
}

TEST(SpinlockRuleTest, FollowsTheKernelsDecision) {
  const auto spinlocks = [](const GuestFacts& facts) { return HypervisorChecks(facts).back(); };
  GuestFacts facts = GoodGuest();
  facts.spinlock_log.clear();
  EXPECT_EQ(spinlocks(facts).verdict, Verdict::kOk);
  EXPECT_EQ(spinlocks(facts).finding.rfind("on", 0), 0u);
  facts.command_line = "quiet nopvspin";
  EXPECT_EQ(spinlocks(facts).finding.rfind("off: nopvspin", 0), 0u);
  facts.command_line = "xnopvspin";
  EXPECT_EQ(spinlocks(facts).verdict, Verdict::kOk);
  facts.config.reset();
  EXPECT_EQ(spinlocks(facts).finding.rfind("cannot tell", 0), 0u);
  facts.config = KernelConfig{};
  EXPECT_EQ(spinlocks(facts).verdict, Verdict::kWarning);
  facts.hypervisor.hints = 1;
  EXPECT_EQ(spinlocks(facts).advice, "see HINTS_REALTIME");
}

}  // namespace
}  // namespace lockhost::doctor
