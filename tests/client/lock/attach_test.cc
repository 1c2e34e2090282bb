// SPDX-License-Identifier: Apache-2.0
#include "client/lock/attach.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

namespace lockhost::lock {
namespace {

class AttachTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = testing::TempDir() + "attach_test_" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  template <typename Header>
  static std::string Bytes(const Header& header, size_t slots_bytes) {
    std::string bytes(sizeof(header) + slots_bytes, '\0');
    memcpy(bytes.data(), &header, sizeof(header));
    return bytes;
  }
  static lockhost_hint_header GoodHints() {
    lockhost_hint_header header = {};
    header.magic = LOCKHOST_HINT_PAGE_MAGIC;
    header.abi_version = LOCKHOST_PAGE_ABI_VERSION;
    header.header_size = sizeof(lockhost_hint_header);
    header.slot_stride = sizeof(lockhost_hint_slot);
    header.slot_count = 8;
    return header;
  }
  static lockhost_report_header GoodReports() {
    lockhost_report_header header = {};
    header.magic = LOCKHOST_REPORT_PAGE_MAGIC;
    header.abi_version = LOCKHOST_PAGE_ABI_VERSION;
    header.slot_count = 8;
    return header;
  }
  lockhost_status_code_t Map(const std::string& hints, const std::string& reports) {
    return MapPages(hints.c_str(), reports.c_str(), &pages_);
  }

  lockhost_pages pages_ = {};
};

TEST_F(AttachTest, MapsBothPages) {
  const std::string hints = Write("hints", Bytes(GoodHints(), 8 * 64));
  const std::string reports = Write("reports", Bytes(GoodReports(), 8 * 128));
  EXPECT_EQ(Map(hints, reports), LOCKHOST_STATUS_HINTS);
  EXPECT_EQ(pages_.hint_slots, 8u);
  EXPECT_EQ(pages_.report_slots, 8u);
}

TEST_F(AttachTest, MissingPage) {
  EXPECT_EQ(Map("/nonexistent/hints", "/nonexistent/reports"), LOCKHOST_STATUS_NO_PAGE);
  EXPECT_EQ(pages_.hints, nullptr);
}

TEST_F(AttachTest, EmptyFileIsNoPage) {
  EXPECT_EQ(Map(Write("empty", ""), ""), LOCKHOST_STATUS_NO_PAGE);
}

TEST_F(AttachTest, GarbageIsABadPage) {
  EXPECT_EQ(Map(Write("garbage", std::string(4096, 'x')), ""), LOCKHOST_STATUS_BAD_PAGE);
  EXPECT_EQ(pages_.hints, nullptr);
}

TEST_F(AttachTest, OtherVersionIsABadPage) {
  lockhost_hint_header header = GoodHints();
  ++header.abi_version;
  EXPECT_EQ(Map(Write("version", Bytes(header, 8 * 64)), ""), LOCKHOST_STATUS_BAD_PAGE);
}

TEST_F(AttachTest, BadReportPageCostsTheReportsAlone) {
  const std::string hints = Write("hints2", Bytes(GoodHints(), 8 * 64));
  EXPECT_EQ(Map(hints, Write("bad_reports", std::string(4096, 'x'))), LOCKHOST_STATUS_HINTS);
  EXPECT_EQ(pages_.hint_slots, 8u);
  EXPECT_EQ(pages_.reports, nullptr);
  EXPECT_EQ(pages_.report_slots, 0u);
}

class ApicIdsTest : public testing::Test {
 protected:
  ApicIdsTest() { std::iota(ids_.begin(), ids_.end(), uint16_t{0}); }
  void Parse(const std::string& text) {
    ParseApicIds(text.data(), text.size(), ids_.data(), static_cast<uint32_t>(ids_.size()));
  }
  std::vector<uint16_t> ids_ = std::vector<uint16_t>(4);
};

TEST_F(ApicIdsTest, ReadsCpuinfo) {
  Parse(
      "processor\t: 0\nmodel name\t: X\napicid\t\t: 8\ninitial apicid\t: 9\n\n"
      "processor\t: 1\napicid\t\t: 10\n");
  EXPECT_EQ(ids_, (std::vector<uint16_t>{8, 10, 2, 3}));
}

TEST_F(ApicIdsTest, KeepsWhatIsNotMentionedOrOutOfRange) {
  Parse(
      "apicid : 7\nprocessor : 9\napicid : 7\nprocessor : 1\napicid : 70000\nprocessor\napicid :");
  EXPECT_EQ(ids_, (std::vector<uint16_t>{0, 1, 2, 3}));
}

TEST_F(ApicIdsTest, SurvivesNonsense) {
  Parse("");
  Parse("processor");
  Parse("processor : 99999999999999999999\napicid : x\n");
  Parse(std::string("\0\n\n:::", 6));
  EXPECT_EQ(ids_, (std::vector<uint16_t>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace lockhost::lock
