// SPDX-License-Identifier: Apache-2.0
#include "server/service/vm_view.h"

#include <gtest/gtest.h>

#include "agent/channel/packet.h"
#include "tests/server/table_fixture.h"

namespace lockhost::server {
namespace {

class VmViewTest : public testing::Test {
 protected:
  VmViewTest() {
    directory_.SetSource({true, agent::SourceKind::kProcfs, "no BPF here"});
    for (uint64_t vm_id = 1; vm_id <= 5; ++vm_id) {
      directory_.Put(MakeRecord(vm_id * 10, static_cast<uint32_t>(vm_id), table_));
    }
  }

  TestTable table_{9};
  VmDirectory directory_;
};

TEST_F(VmViewTest, ListsVmsInTheOrderOfTheirIds) {
  const auto response = ListVms(directory_, {}, 0);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->vms_size(), 5);
  EXPECT_EQ(response->vms(0).vm_id(), 10u);
  EXPECT_EQ(response->vms(4).vm_id(), 50u);
  EXPECT_EQ(response->vms(0).pid(), 4242);
  EXPECT_EQ(response->vms(0).vmm(), "test");
  EXPECT_EQ(response->vms(0).accelerator(), "kvm");
  EXPECT_EQ(response->vms(0).memory_bytes(), 1u << 30);
  EXPECT_EQ(response->vms(0).socket_path(), "/run/test.sock");
  EXPECT_EQ(response->vms(0).generation(), 9u);
  EXPECT_EQ(response->source(), "procfs");
  EXPECT_EQ(response->source_reason(), "no BPF here");
  EXPECT_TRUE(response->next_page_token().empty());
}

TEST_F(VmViewTest, PagesAreCompleteAndDoNotOverlap) {
  v1::ListVmsRequest request;
  request.set_page_size(2);
  std::vector<uint64_t> seen;
  for (int page = 0; page < 3; ++page) {
    const auto response = ListVms(directory_, request, 0);
    ASSERT_TRUE(response.ok());
    for (const v1::Vm& vm : response->vms()) seen.push_back(vm.vm_id());
    EXPECT_EQ(response->next_page_token().empty(), page == 2);
    request.set_page_token(response->next_page_token());
  }
  EXPECT_EQ(seen, (std::vector<uint64_t>{10, 20, 30, 40, 50}));
}

TEST_F(VmViewTest, APageThatEndsWithTheListHasNoNext) {
  v1::ListVmsRequest request;
  request.set_page_size(5);
  EXPECT_TRUE(ListVms(directory_, request, 0)->next_page_token().empty());
}

TEST_F(VmViewTest, BadTokensAndAMissingAgentAreSaid) {
  v1::ListVmsRequest request;
  request.set_page_token("not a number");
  EXPECT_TRUE(absl::IsInvalidArgument(ListVms(directory_, request, 0).status()));
  directory_.SetSource({});
  EXPECT_TRUE(absl::IsUnavailable(ListVms(directory_, {}, 0).status()));
}

TEST_F(VmViewTest, ListsVcpusOnlyWhereAsked) {
  table_.Set(1, LOCKHOST_RUN_STATE_HALTED, 100);
  table_.table->SetHeader(LOCKHOST_MODE_OVERCOMMITTED, 9);
  v1::ListVmsRequest request;
  auto response = ListVms(directory_, request, 400);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->vms(0).vcpus_size(), 0);
  EXPECT_EQ(response->vms(0).mode(), v1::MODE_OVERCOMMITTED);
  request.set_include_vcpus(true);
  response = ListVms(directory_, request, 400);
  ASSERT_TRUE(response.ok());
  ASSERT_EQ(response->vms(4).vcpus_size(), 1);
  EXPECT_EQ(response->vms(4).vcpus(0).vcpu_id(), 1u);
  EXPECT_EQ(response->vms(4).vcpus(0).run_state(), v1::RUN_STATE_HALTED);
  EXPECT_EQ(response->vms(4).vcpus(0).age_ns(), 300u);
}

TEST_F(VmViewTest, TellsTheLoadOnceTheAgentDoes) {
  const auto page = agent::HostPageWriter::Create();
  ASSERT_TRUE(page.ok()) << page.status();
  SourceState source = directory_.source();
  source.host_page = *agent::HostPageReader::Attach((*page)->fd());
  directory_.SetSource(source);
  auto response = ListVms(directory_, {}, 0);
  ASSERT_TRUE(response.ok());
  EXPECT_FALSE(response->has_overcommit_ratio());
  EXPECT_FALSE(response->vms(0).has_steal_ratio());
  agent::HostFigures figures;
  figures.updated_at_ns = 1;
  figures.overcommit = {9, 1.5};
  figures.vms[1].vm_id = 10;
  figures.vms[1].load.steal_ratio = {9, 0.25};
  figures.vms[2].vm_id = 11;  // the VM that had this index before
  (*page)->Write(figures);
  response = ListVms(directory_, {}, 0);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->overcommit_ratio(), 1.5);
  EXPECT_EQ(response->vms(0).steal_ratio(), 0.25);
  EXPECT_FALSE(response->vms(1).has_steal_ratio());
  EXPECT_EQ(DescribeVm(directory_, 10, 0)->vm().steal_ratio(), 0.25);
}

TEST_F(VmViewTest, DescribesOneVm) {
  table_.Set(0, LOCKHOST_RUN_STATE_RUNNING, 100);
  table_.Set(3, LOCKHOST_RUN_STATE_PREEMPTED, 150);
  const auto response = DescribeVm(directory_, 20, 200);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->vm().vm_id(), 20u);
  ASSERT_EQ(response->vcpus_size(), 2);
  EXPECT_EQ(response->vcpus(1).vcpu_id(), 3u);
  EXPECT_EQ(response->vcpus(1).run_state(), v1::RUN_STATE_PREEMPTED);
  EXPECT_EQ(response->vcpus(1).age_ns(), 50u);
  EXPECT_TRUE(absl::IsNotFound(DescribeVm(directory_, 21, 200).status()));
}

TEST(WatchIntervalTest, HasADefaultAndBounds) {
  v1::WatchVmRequest request;
  EXPECT_EQ(*WatchIntervalNs(request), kDefaultIntervalNs);
  request.set_interval_ns(kLeastIntervalNs);
  EXPECT_EQ(*WatchIntervalNs(request), kLeastIntervalNs);
  request.set_interval_ns(kLeastIntervalNs - 1);
  EXPECT_TRUE(absl::IsInvalidArgument(WatchIntervalNs(request).status()));
  request.set_interval_ns(kMostIntervalNs + 1);
  EXPECT_TRUE(absl::IsInvalidArgument(WatchIntervalNs(request).status()));
}

TEST(VmFactsTest, AreTakenFromTheAgentsMessage) {
  auto message = agent::MakeMessage<agent::VmMessage>(agent::MessageType::kVm);
  message.memory_bytes = 123;
  agent::SetFieldText(message.accelerator, "tcg");
  const VmFacts facts = VmFacts::FromMessage(message);
  EXPECT_EQ(facts.memory_bytes, 123u);
  EXPECT_EQ(facts.accelerator, "tcg");
}

}  // namespace
}  // namespace lockhost::server
