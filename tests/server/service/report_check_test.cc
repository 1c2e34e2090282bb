// SPDX-License-Identifier: Apache-2.0
#include "server/service/report_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockhost::server {
namespace {

using testing::HasSubstr;

constexpr uint32_t kSlots = 8;

v1::ReportHoldersRequest Good() {
  v1::ReportHoldersRequest request;
  request.set_generation(1);
  request.mutable_demand()->set_ttl_ns(200'000'000);
  for (uint32_t vcpu_id = 0; vcpu_id < kSlots; ++vcpu_id) {
    v1::HolderReport* holder = request.add_holders();
    holder->set_vcpu_id(vcpu_id);
    holder->set_revision(5);
    holder->set_contended(true);
  }
  return request;
}

void ExpectBad(const absl::Status& status, const char* field) {
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << field;
  EXPECT_THAT(std::string(status.message()), HasSubstr(field));
}

TEST(ReportCheckTest, GoodReportsPass) {
  EXPECT_TRUE(CheckReport(Good(), kSlots).ok());
  EXPECT_TRUE(CheckReport({}, kSlots).ok());
  v1::ReportHoldersRequest ending;
  ending.mutable_demand()->set_ttl_ns(0);
  EXPECT_TRUE(CheckReport(ending, kSlots).ok());
}

TEST(ReportCheckTest, AVcpuThatDoesNotExist) {
  v1::ReportHoldersRequest request = Good();
  request.mutable_holders(7)->set_vcpu_id(kSlots);
  ExpectBad(CheckReport(request, kSlots), "holders.vcpu_id");
  request.mutable_holders(7)->set_vcpu_id(1024);
  ExpectBad(CheckReport(request, 2000), "holders.vcpu_id");
}

TEST(ReportCheckTest, TwoReportsOfOneVcpu) {
  v1::ReportHoldersRequest request = Good();
  request.mutable_holders(7)->set_vcpu_id(3);
  ExpectBad(CheckReport(request, kSlots), "holders.vcpu_id");
}

TEST(ReportCheckTest, MoreReportsThanVcpus) {
  v1::ReportHoldersRequest request = Good();
  request.add_holders();
  ExpectBad(CheckReport(request, kSlots), "holders");
}

TEST(ReportCheckTest, FieldsOutOfRange) {
  v1::ReportHoldersRequest request = Good();
  request.mutable_demand()->set_ttl_ns(kMaxAskedTtlNs + 1);
  ExpectBad(CheckReport(request, kSlots), "demand.ttl_ns");
  request = Good();
  request.mutable_holders(0)->set_revision(uint64_t{1} << 56);
  ExpectBad(CheckReport(request, kSlots), "holders.revision");
  request = Good();
  request.mutable_holders(0)->set_age_ns(kMaxReportAgeNs + 1);
  ExpectBad(CheckReport(request, kSlots), "holders.age_ns");
}

TEST(WatchRequestCheckTest, NamesTheField) {
  v1::WatchHintsRequest request;
  ExpectBad(CheckWatchRequest(request), "protocol_version");
  request.set_protocol_version(9);  // a newer guest
  EXPECT_TRUE(CheckWatchRequest(request).ok());
  request.set_agent_version(std::string(65, 'x'));
  ExpectBad(CheckWatchRequest(request), "agent_version");
  request.set_agent_version("1");
  for (int i = 0; i < 17; ++i) request.add_capabilities(v1::CAPABILITY_REPORT_WORD);
  ExpectBad(CheckWatchRequest(request), "capabilities");
}

}  // namespace
}  // namespace lockhost::server
