// SPDX-License-Identifier: Apache-2.0
#include "client/cli/views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/text.h"
#include "client/cli/vm_choice.h"

namespace lockhost::cli {
namespace {

using testing::_;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Le;
using testing::Not;
using testing::SizeIs;

constexpr uint64_t kSecond = 1'000'000'000;

v1::Vm* AddVm(v1::ListVmsResponse* list, uint64_t id, const std::string& name, int vcpus) {
  v1::Vm* vm = list->add_vms();
  vm->set_vm_id(id);
  vm->set_name(name);
  vm->set_vmm("qemu");
  vm->set_pid(1234567);
  vm->set_generation(1);
  for (int i = 0; i < vcpus; ++i) {
    v1::VcpuHint* vcpu = vm->add_vcpus();
    vcpu->set_vcpu_id(static_cast<uint32_t>(i));
    vcpu->set_run_state(v1::RUN_STATE_PREEMPTED);
    vcpu->set_age_ns(1'200'000);
  }
  return vm;
}

TEST(TextTest, DurationsAndRatesAreShort) {
  EXPECT_EQ(ShortDuration(0), "0ns");
  EXPECT_EQ(ShortDuration(999), "999ns");
  EXPECT_EQ(ShortDuration(1'200), "1.2us");
  EXPECT_EQ(ShortDuration(999'600), "1.0ms");
  EXPECT_EQ(ShortDuration(350'000'000), "350ms");
  EXPECT_EQ(ShortDuration(12 * kSecond), "12s");
  EXPECT_EQ(ShortDuration(3 * 3600 * kSecond), "3.0h");
  EXPECT_EQ(ShortDuration(200 * 86400 * kSecond), "200d");
  EXPECT_EQ(ShortRate(0), "0");
  EXPECT_EQ(ShortRate(0.44), "0.4");
  EXPECT_EQ(ShortRate(12.4), "12");
  EXPECT_EQ(ShortRate(15'000), "15k");
  EXPECT_EQ(ShortRate(1.2e6), "1.2M");
}

TEST(TextTest, CellsHaveTheirWidth) {
  EXPECT_EQ(PadRight("ab", 4), "ab  ");
  EXPECT_EQ(PadLeft("ab", 4), "  ab");
  EXPECT_EQ(PadRight("abcdef", 4), "abc~");
  EXPECT_EQ(Wrap("one two  three", 7), (std::vector<std::string>{"one two", "three"}));
  EXPECT_EQ(Wrap("abcdefgh i", 3), (std::vector<std::string>{"abc", "def", "gh", "i"}));
}

TEST(TextTest, NamesCannotDriveTheTerminal) { EXPECT_EQ(Printable("a\x1b[2Jb\n\xff"), "a?[2Jb??"); }

TEST(RatesTest, AreDifferencesOverTime) {
  v1::ListVmsResponse list;
  v1::Vm* vm = AddVm(&list, 7, "a", 2);
  RateMeter meter;
  meter.Observe(7, 1, vm->vcpus(), kSecond);
  EXPECT_FALSE(meter.OfVm(7));
  vm->mutable_vcpus(0)->set_steal_ns(kSecond);
  vm->mutable_vcpus(0)->set_preemptions(20);
  vm->mutable_vcpus(1)->set_lock_holder_preemptions(4);
  meter.Observe(7, 1, vm->vcpus(), 3 * kSecond);
  EXPECT_DOUBLE_EQ(meter.OfVcpu(7, 0)->steal, 0.5);
  EXPECT_DOUBLE_EQ(meter.OfVcpu(7, 0)->preemptions, 10);
  EXPECT_DOUBLE_EQ(meter.OfVm(7)->lock_holder_preemptions, 2);
}

TEST(RatesTest, AnotherGenerationOrACounterThatGoesBackHasNone) {
  v1::ListVmsResponse list;
  v1::Vm* vm = AddVm(&list, 7, "a", 1);
  vm->mutable_vcpus(0)->set_preemptions(10);
  RateMeter meter;
  meter.Observe(7, 1, vm->vcpus(), kSecond);
  meter.Observe(7, 2, vm->vcpus(), 2 * kSecond);
  EXPECT_FALSE(meter.OfVcpu(7, 0));
  vm->mutable_vcpus(0)->set_preemptions(9);
  meter.Observe(7, 2, vm->vcpus(), 3 * kSecond);
  EXPECT_FALSE(meter.OfVcpu(7, 0));
  meter.Observe(7, 2, vm->vcpus(), 4 * kSecond);
  EXPECT_TRUE(meter.OfVcpu(7, 0));
  meter.DropOthers(5 * kSecond);
  EXPECT_FALSE(meter.OfVcpu(7, 0));
}

TEST(ViewsTest, EverythingFitsEightyColumns) {
  v1::ListVmsResponse list;
  list.set_source("procfs");
  list.set_source_reason(std::string(200, 'r'));
  list.set_overcommit_ratio(12.345);
  v1::Vm* vm = AddVm(&list, 1'834'567'890'123'456, std::string(64, 'n'), 3);
  vm->set_vcpu_count(1024);
  vm->set_vsock_cid(4294967295);
  vm->set_streams(12345);
  vm->set_mode(v1::MODE_OVERCOMMITTED);
  vm->set_steal_ratio(1);
  v1::WatchVmResponse watch;
  *watch.mutable_vm() = *vm;
  *watch.mutable_vcpus() = vm->vcpus();
  for (const auto& lines : {VmTable(list), TopFrame(list, {}, 0), WatchFrame(watch, {})}) {
    EXPECT_THAT(lines, Each(SizeIs(Le(kColumns))));
    EXPECT_THAT(lines, Contains(HasSubstr("1834567890123456")));
  }
}

TEST(ViewsTest, ColumnsStandBelowTheirTitles) {
  v1::ListVmsResponse list;
  v1::Vm* vm = AddVm(&list, 12, "db", 0);
  vm->set_mode(v1::MODE_DEDICATED);
  vm->set_demand(true);
  vm->set_steal_ratio(0.125);
  EXPECT_THAT(
      VmTable(list),
      ElementsAre("              VM NAME             VMM             PID VCPUS DEMAND MODE "
                  "   WAIT%",
                  "              12 db               qemu        1234567     0    yes dedic."
                  "   12.5"));
  EXPECT_THAT(TopFrame(list, {}, 0),
              ElementsAre(_, _, _,
                          "              VM NAME    MODE * RUN PRE HLT EXT STEAL%  PRE/s  "
                          "LHP/s BST/s  LEFT",
                          "              12 db      dedi *   0   0   0   0      -      -      "
                          "-   off     -"));
}

TEST(ViewsTest, WatchSaysWhoTheVmIsAsFarAsItIsKnown) {
  v1::WatchVmResponse watch;
  watch.mutable_vm()->set_vm_id(12);
  EXPECT_EQ(WatchFrame(watch, {})[0], "VM 12, pid 0, generation 0, 0 streams, no demand");
  watch.mutable_vm()->set_name("db");
  watch.mutable_vm()->set_vmm("qemu");
  EXPECT_EQ(WatchFrame(watch, {})[0], "VM 12 db (qemu), pid 0, generation 0, 0 streams, no demand");
}

TEST(ViewsTest, WhatTheAgentDoesNotSayIsLeftOpen) {
  v1::ListVmsResponse list;
  list.set_source("bpf");
  AddVm(&list, 12, "db", 0);
  EXPECT_EQ(VmTable(list)[1].back(), '-');
  EXPECT_EQ(TopFrame(list, {}, 0)[1], "source bpf");
  list.set_overcommit_ratio(1.5);
  EXPECT_EQ(TopFrame(list, {}, 0)[1], "overcommit 1.50, source bpf");
}

TEST(ViewsTest, TopShowsTheBusiestVmFirst) {
  v1::ListVmsResponse list;
  AddVm(&list, 1, "idle", 1);
  AddVm(&list, 2, "busy", 1);
  RateMeter meter;
  for (const v1::Vm& vm : list.vms()) meter.Observe(vm.vm_id(), 1, vm.vcpus(), kSecond);
  list.mutable_vms(1)->mutable_vcpus(0)->set_lock_holder_preemptions(3);
  for (const v1::Vm& vm : list.vms()) meter.Observe(vm.vm_id(), 1, vm.vcpus(), 2 * kSecond);
  const auto lines = TopFrame(list, meter, 0);
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_THAT(lines[0], HasSubstr("2 VMs, 2 vCPUs: 0 running, 2 preempted"));
  EXPECT_THAT(lines[4], HasSubstr("busy"));
  EXPECT_THAT(lines[5], HasSubstr("preempted"));
  EXPECT_THAT(lines[5], HasSubstr("1.2ms"));
  EXPECT_THAT(lines[6], HasSubstr("idle"));
}

TEST(ViewsTest, TopShowsBoostsAndWhatIsLeftOfTheBudget) {
  v1::ListVmsResponse list;
  v1::Vm* vm = AddVm(&list, 7, "db", 1);
  vm->mutable_boosts()->set_enabled(true);
  vm->mutable_boosts()->set_budget_left_ns(8'200'000);
  RateMeter meter;
  meter.Observe(7, 1, vm->vcpus(), kSecond, 10);
  meter.Observe(7, 1, vm->vcpus(), 3 * kSecond, 70);
  EXPECT_THAT(TopFrame(list, meter, 0)[4], EndsWith("    30 8.2ms"));
  vm->mutable_boosts()->set_budget_left_ns(-5);
  EXPECT_THAT(TopFrame(list, meter, 0)[4], EndsWith("    30   0ns")) << "overdrawn";
  vm->mutable_boosts()->set_enabled(false);
  EXPECT_THAT(TopFrame(list, meter, 0)[4], EndsWith("   off     -"));
}

v1::Boost MakeBoost(v1::BoostEnd end) {
  v1::Boost boost;
  boost.set_vcpu_id(3);
  boost.set_asker(v1::BOOST_ASKER_DIRECT);
  boost.set_end(end);
  boost.set_preempted_age_ns(2'000'000'000);
  boost.set_boosted_after_ns(62'000);
  boost.set_running_after_ns(85'000);
  boost.set_ended_after_ns(130'400);
  return boost;
}

TEST(ViewsTest, ATraceSaysWhatHappenedWhen) {
  // 1,700,000,000 s is 22:13:20 UTC.
  const uint64_t now_ns = 1'700'000'002'123'456'000;
  setenv("TZ", "UTC", 1);
  EXPECT_EQ(TraceLine(MakeBoost(v1::BOOST_END_RELEASED), now_ns),
            "22:13:20.123 vCPU 3 preempted, boost +62us, ran +85us, released +130us");
  v1::Boost boost = MakeBoost(v1::BOOST_END_TIMED_OUT);
  boost.clear_running_after_ns();
  boost.set_asker(v1::BOOST_ASKER_GRPC);
  EXPECT_EQ(TraceLine(boost, now_ns),
            "22:13:20.123 vCPU 3 preempted, gRPC boost +62us, limit +130us");
  boost.set_asker(v1::BOOST_ASKER_HEIR);
  EXPECT_EQ(TraceLine(boost, now_ns),
            "22:13:20.123 vCPU 3 preempted, heir boost +62us, limit +130us");
  boost.set_vcpu_id(1023);
  boost.set_boosted_after_ns(1'234'567);
  boost.set_ended_after_ns(2'345'678);
  for (int end = 0; end < v1::BoostEnd_ARRAYSIZE; ++end) {
    boost.set_end(static_cast<v1::BoostEnd>(end));
    boost.set_running_after_ns(1'999'999);
    EXPECT_LE(TraceLine(boost, now_ns).size(), kColumns) << TraceLine(boost, now_ns);
  }
}

TEST(ViewsTest, TopLeavesVcpusOutBeforeVms) {
  v1::ListVmsResponse list;
  for (uint64_t id = 1; id <= 10; ++id) AddVm(&list, id, "vm", 4);
  EXPECT_EQ(TopFrame(list, {}, 54).size(), 54u);
  const auto vms_only = TopFrame(list, {}, 53);
  EXPECT_EQ(vms_only.size(), 14u);
  EXPECT_THAT(vms_only, Each(Not(HasSubstr("vCPU 3"))));
  const auto cut = TopFrame(list, {}, 10);
  EXPECT_EQ(cut.size(), 10u);
  EXPECT_THAT(cut.back(), HasSubstr("5 more VMs"));
}

TEST(VmChoiceTest, ByIdThenNameThenPrefix) {
  v1::ListVmsResponse list;
  AddVm(&list, 3, "db-1", 0)->set_uuid("aaaa-1");
  AddVm(&list, 4, "db-10", 0)->set_uuid("aaaa-2");
  AddVm(&list, 5, "3", 0);
  EXPECT_EQ(ChooseVm(list, "3")->vm_id(), 3u);
  EXPECT_EQ(ChooseVm(list, "db-1")->vm_id(), 3u);
  EXPECT_EQ(ChooseVm(list, "db-10")->vm_id(), 4u);
  EXPECT_EQ(ChooseVm(list, "aaaa-2")->vm_id(), 4u);
  const auto ambiguous = ChooseVm(list, "db");
  EXPECT_TRUE(absl::IsInvalidArgument(ambiguous.status()));
  EXPECT_THAT(std::string(ambiguous.status().message()), HasSubstr("4 (db-10)"));
  AddVm(&list, 1'834'567'890'123'456, "", 0);
  AddVm(&list, 1'834'567'890'999'999, "", 0);
  EXPECT_EQ(ChooseVm(list, "18345678901")->vm_id(), 1'834'567'890'123'456u);
  EXPECT_TRUE(absl::IsInvalidArgument(ChooseVm(list, "1834567890").status()));
  EXPECT_TRUE(absl::IsNotFound(ChooseVm(list, "web").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ChooseVm(list, "").status()));
}

}  // namespace
}  // namespace lockhost::cli
